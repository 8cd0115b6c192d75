from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from medseg.data import formats
from medseg.data.prepare.headers import grid_of
from medseg.data.prepare.reference_boxes import reference_boxes
from medseg.geometry import Grid
from medseg.geometry.boxes import Boxes
from medseg.inference.detection.result import Detections
from medseg.metrics import CentreHit, DetectionCase, evaluate_detections

CLASSES = ("head", "tail")


@pytest.fixture(scope="module")
def known(phantom):
    """Case id -> grid and boxes of its objects."""
    dataset = formats.read(phantom, objects="components")
    assert dataset.labels.foreground == CLASSES
    grids = {case.id: grid_of(case.images[0]) for case in dataset.cases}
    return {
        case.id: (grids[case.id], reference_boxes(case, dataset, grids[case.id]))
        for case in dataset.cases
    }


def found_in(grid, objects, *, classes=CLASSES):
    """Give the objects, the first of them a quarter off, and a false alarm."""
    corners = objects.corners.copy()
    corners[0] += np.tile(objects.sizes[0] / 4, 2)
    boxes = Boxes(
        np.vstack([corners, [[0, 0, 0, 3, 3, 3]]]),
        [*objects.classes, 1],
        [*np.linspace(0.9, 0.6, len(objects)), 0.75],
    )
    names = [CLASSES[number] for number in boxes.classes]
    numbers = [classes.index(name) for name in names]
    return Detections(Boxes(boxes.corners, numbers, boxes.scores), grid, classes)


@pytest.fixture
def boxes(here, known):
    """A folder of boxes of four of the six cases, and what predict leaves beside them."""
    folder = here / "boxes"
    folder.mkdir()
    for case in list(known)[:4]:
        found_in(*known[case]).save(folder / f"{case}.json")
        grid, _ = known[case]
        image = nib.Nifti1Image(np.zeros(grid.shape, dtype=np.uint8), grid.affine)
        nib.save(image, folder / f"{case}_boxes.nii.gz")
    (folder / "labels.json").write_text("{}")
    return folder


def test_boxes_are_scored_against_the_objects_of_a_data_set(cli_json, boxes, phantom, known, here):
    found = cli_json("evaluate", boxes, phantom, "-o", "scores/metrics.json")
    cases = {}
    for case in list(known)[:4]:
        grid, objects = known[case]
        mine = found_in(grid, objects).boxes
        cases[case] = DetectionCase(mine, objects, spacing=grid.spacing)
    expected = evaluate_detections(cases, CLASSES, hit=CentreHit())
    assert {key: found[key] for key in expected} == json.loads(json.dumps(expected))
    assert found["missing"] == list(known)[4:] and found["extra"] == []
    assert json.loads((here / "scores" / "metrics.json").read_text()) == found
    assert (here / "scores" / "froc.png").read_bytes().startswith(b"\x89PNG")


def test_tables_are_printed_and_what_has_no_partner_is_named(cli, boxes, phantom, known):
    grid, objects = known[next(iter(known))]
    found_in(grid, objects).save(boxes / "stranger.json")
    code, out, err = cli("evaluate", boxes, phantom)
    assert code == 0, err
    for word in ("mAP COCO", "CPM", "1/8", "95% from", "by size"):
        assert word in out
    assert "prediction without reference: stranger" in err
    assert f"reference without prediction: {', '.join(list(known)[4:])}" in err
    code, out, _ = cli("evaluate", boxes, phantom, "--json")
    assert code == 0 and json.loads(out)["extra"] == ["stranger"]


def test_a_recipe_says_what_an_object_is_and_when_it_is_found(cli, cli_json, boxes, phantom, here):
    recipe = here / "find.yaml"
    recipe.write_text(
        f'task: detection\ndata: {{root: "{phantom}"}}\ndetection: {{hit: iou, smallest: 100000}}\n'
    )
    found = cli_json("evaluate", boxes, recipe)
    assert found["hit"] == "IoU >= 0.1" and found["mean"]["map"] is None
    assert cli_json("evaluate", boxes, recipe, "--hit", "centre")["hit"] == "centre in the object"
    recipe.write_text(f'data: {{root: "{phantom}"}}\n')
    code, _, err = cli("evaluate", boxes, recipe)
    assert code == 2 and "task: detection" in err and "find.yaml" in err


def test_classes_are_known_by_their_names(cli_json, boxes, phantom, known):
    before = cli_json("evaluate", boxes, phantom)
    for case in list(known)[:4]:
        found_in(*known[case], classes=("tail", "head")).save(boxes / f"{case}.json")
    assert cli_json("evaluate", boxes, phantom) == before


def test_a_file_says_which_boxes_are_kept(cli, cli_json, boxes, phantom, here):
    (here / "keep.yaml").write_text("detection: {score: {tail: 0.8, head: 0.1}}\n")
    kept = cli_json("evaluate", boxes, phantom, "--postprocessing", "keep.yaml")["kept"]
    assert kept["by"] == "file" and kept["rule"]["score"] == {"tail": 0.8, "head": 0.1}
    assert kept["working"]["tail"]["fps"] == 0 and kept["working_before"]["tail"]["fps"] == 1
    (here / "keep.yaml").write_text("detection: {score: {hat: 0.8}}\n")
    code, _, err = cli("evaluate", boxes, phantom, "--postprocessing", "keep.yaml")
    assert code == 2 and "no class 'hat'" in err


def test_results_are_not_replaced_unasked(cli, boxes, phantom, here):
    words = ["evaluate", boxes, phantom, "-o", "metrics.json"]
    (here / "froc.png").write_text("mine")
    code, _, err = cli(*words)
    assert code == 2 and "froc.png" in err and (here / "froc.png").read_text() == "mine"
    assert not (here / "metrics.json").exists()
    assert cli(*words, "--overwrite")[0] == 0
    assert cli(*words)[0] == 2


@pytest.mark.parametrize("option", [["--empty", "one"], ["--value-map", "2=1"], ["--labels", "x"]])
def test_options_of_masks_are_refused(cli, boxes, phantom, option):
    code, _, err = cli("evaluate", boxes, phantom, *option)
    assert code == 2 and f"{option[0]} is for masks" in err


def test_hits_of_masks_are_refused(cli, phantom):
    masks = phantom / "labelsTr"
    code, _, err = cli("evaluate", masks, masks, "--hit", "iou")
    assert code == 2 and "--hit is for boxes" in err


def test_boxes_of_another_grid_are_refused(cli, boxes, phantom, known):
    case = next(iter(known))
    grid, objects = known[case]
    for other in (Grid((9, 9, 9), grid.affine), Grid(grid.shape, np.diag([1, 1, 9, 1.0]))):
        found_in(other, objects).save(boxes / f"{case}.json")
        code, _, err = cli("evaluate", boxes, phantom)
        assert code == 2 and "another grid" in err and case in err


def test_pictures_are_no_volumes(cli, boxes, phantom, known):
    case = next(iter(known))
    flat = Detections(Boxes([[0, 0, 4, 4]], [0], [0.5]), Grid.from_spacing((9, 9)), CLASSES)
    flat.save(boxes / f"{case}.json")
    code, _, err = cli("evaluate", boxes, phantom)
    assert code == 2 and "another grid" in err and "2 axes" not in err.split("expected")[0]


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("{", "", "these are no boxes"),
        ('"score": 0.9', '"score": NaN', "no finite number"),
        ('"class": "head"', '"class": "hat"', "no class 'hat'"),
        ('"lower": [', '"lower": [100, ', "these are no boxes"),
        ("{", "[" * 100_000, "these are no boxes"),
        ('"score": 0.9', '"score": 1' + "0" * 400, "these are no boxes"),
        ('"objects"', '"things"', "these are no boxes"),
    ],
)
def test_a_damaged_file_is_named(cli, boxes, phantom, known, old, new, word):
    file = boxes / f"{next(iter(known))}.json"
    file.write_text(file.read_text().replace(old, new, 1))
    code, _, err = cli("evaluate", boxes, phantom)
    assert code == 2 and file.name in err and word in err


def test_a_run_is_not_what_it_predicted(cli, boxes, phantom):
    (boxes / "recipe.yaml").write_text("task: detection")
    code, _, err = cli("evaluate", boxes, phantom)
    assert code == 2 and "this is a run" in err and "boxes/predictions" in err


def test_names_that_fit_no_case_are_refused(cli, boxes, phantom):
    for path in list(boxes.glob("*.json")):
        path.rename(path.with_name(f"other_{path.name}"))
    code, _, err = cli("evaluate", boxes, phantom)
    assert code == 2 and "has the name of a case" in err


def test_references_that_are_none_are_refused(cli, boxes, phantom, here):
    code, _, err = cli("evaluate", boxes, phantom / "labelsTr")
    assert code == 2 and "fits no known data format" in err
    code, _, err = cli("evaluate", boxes, "absent")
    assert code == 2 and "absent" in err
    (here / "empty").mkdir()
    code, _, err = cli("evaluate", "empty", phantom)
    assert code == 2 and "neither masks nor boxes" in err


def outline(boxes, phantom, case, *, change=lambda values: values):
    """Write the reference's components as predict writes outlines; odd numbers are heads."""
    image = nib.load(phantom / "labelsTr" / f"{case}.nii.gz")
    values = change(np.asarray(image.dataobj).astype(np.int32))
    nib.save(nib.Nifti1Image(values, image.affine), boxes / f"{case}_instances.nii.gz")
    state = json.loads((boxes / f"{case}.json").read_text())
    del state["objects"]
    numbers = [int(value) for value in np.unique(values) if value]
    state["instances"] = [{"value": n, "box": n, "class": CLASSES[1 - n % 2]} for n in numbers]
    (boxes / f"{case}_instances.json").write_text(json.dumps(state))


def test_outlines_have_a_panoptic_quality(cli, cli_json, boxes, phantom, known):
    first, second, *_ = known
    assert "panoptic" not in cli_json("evaluate", boxes, phantom)
    outline(boxes, phantom, first)

    def cut(values):
        # Tails are missed, and of a head the first slice.
        values[values == 2] = 0
        values[:, :, np.flatnonzero(values.any(axis=(0, 1)))[0]] = 0
        return values

    outline(boxes, phantom, second, change=cut)
    found = cli_json("evaluate", boxes, phantom)["panoptic"]
    assert found["cases"] == [first, second]
    reference = np.asarray(nib.load(phantom / "labelsTr" / f"{second}.nii.gz").dataobj)
    part = (cut(reference.copy()) == 1).sum() / (reference == 1).sum()
    head, tail = (found["per_class"][name] for name in CLASSES)
    assert (head["tp"], head["fp"], head["fn"]) == (2, 0, 0)
    assert head["pq"] == pytest.approx((1 + part) / 2)
    assert (tail["tp"], tail["fp"], tail["fn"]) == (1, 0, 1) and tail["pq"] == pytest.approx(2 / 3)
    code, out, err = cli("evaluate", boxes, phantom)
    assert code == 0 and "outlines of 2 cases" in out
    assert "prediction without reference" not in err


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('"value": 2', '"value": 7', "does not name"),
        ('"class": "head"', '"class": "hat"', "no class 'hat'"),
        ('"instances"', '"others"', "what outlines are of"),
    ],
)
def test_a_wrong_table_of_outlines_is_named(cli, boxes, phantom, known, old, new, word):
    case = next(iter(known))
    outline(boxes, phantom, case)
    table = boxes / f"{case}_instances.json"
    table.write_text(table.read_text().replace(old, new, 1))
    code, _, err = cli("evaluate", boxes, phantom)
    assert code == 2 and word in err and f"{case}_instances" in err
