"""What is wrong with objects is said: in which file, what was expected, and what mends it."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from tests import box_data
from tests.box_data import CENTRE, COUNT, NAMES, RADIUS

LOW, HIGH = CENTRE - RADIUS, CENTRE + RADIUS
SPHERES = "case,x_ras,y_ras,z_ras,diameter"
CORNERS = "image,class,xmin,ymin,zmin,xmax,ymax,zmax"


@pytest.fixture
def inspected(cli, here):
    """Give a function that inspects a data set as detection, and returns code and words."""

    runs = count()

    def act(root: Path, *words: str) -> tuple[int, str]:
        (here / "bad.yaml").write_text(f"task: detection\ndata: {{root: {root}, workers: 0}}\n")
        run = here / f"run_{next(runs)}"
        code, out, err = cli("inspect", "bad.yaml", *words, f"run_dir={run}")
        assert "Traceback" not in err
        assert code == 0 or not (run / "fingerprint.json").exists()
        return code, " ".join((out + err).split())

    return act


def refused(told: tuple[int, str], file: str, *words: str) -> None:
    """Hold a refusal against the file and the words that it must have."""
    code, said = told
    assert code == 2
    assert file in said, said
    for word in ("found:", "expected:", *words):
        assert word in said, said


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ([("cell", 60, 60, 70, 70)], ("a box lies outside of the image", "28×28", "remedy:")),
        ([("cell", 5, 5, 4, 9)], ("object 1 has no size", "remedy:")),
        ([("cell", 9, 9, 3, 3)], ("object 1 has a negative size: its corners", "swap its corners")),
        ([("cell", 3, 3, 9, 9)] * 2, ("object 2 is the same as object 1", "remove one of them")),
        ([("cell", "nan", 3, 9, 9)], ("no finite number", "remedy:")),
        (
            [("spot", 3, 3, 9, 9)],
            ("an object of an unknown class", "spot", "add it to data.labels"),
        ),
    ],
    ids=["outside", "no size", "swapped", "twice", "nan", "unknown class"],
)
def test_what_is_no_box_of_this_picture_is_refused_by_its_file(inspected, here, listed, words):
    root = box_data.voc(here / "data")
    box_data.voc_objects(root, "case2", listed)
    refused(inspected(root, "data.labels={cell: 1}"), "Annotations/case2.xml", *words)


def test_annotations_of_a_missing_image_are_refused(inspected, here):
    root = box_data.voc(here / "data")
    box_data.voc_objects(root, "ghost", [("cell", 3, 3, 9, 9)])
    words = ("1 annotation without a picture", "ghost.xml", "complete the download")
    refused(inspected(root), "Annotations", *words)


@pytest.mark.parametrize("layout", ["voc", "boxlist", "masks"])
def test_an_image_without_objects_is_a_negative_or_was_forgotten_as_the_recipe_says(
    inspected, here, layout
):
    root = getattr(box_data, layout)(here / "data")
    if layout == "voc":
        box_data.voc_objects(root, "case3", [])
    elif layout == "boxlist":
        rows = [(f"scans/{n}.nii.gz", "nodule", *[LOW] * 3, *[HIGH] * 3) for n in NAMES[:3]]
        box_data.table(root / "boxes.csv", CORNERS, [*rows, ("scans/case3.nii.gz", *[""] * 7)])
    else:
        empty = np.zeros((box_data.SIZE,) * 3, np.uint8)
        box_data.volume(root / "labelsTr/case3.nii.gz", empty)
    code, said = inspected(root)
    assert code == 0 and "nothing is to be found in case3: they count as negatives" in said
    told = inspected(root, "detection.empty=error")
    refused(told, "case3" if layout != "boxlist" else "boxes.csv", "negative")
    assert "without any object" in told[1] or "has no object" in told[1]


def test_lps_given_as_ras_is_noticed_where_most_boxes_fall_outside(inspected, here):
    root = box_data.boxlist(here / "data")
    # Voxel centres lie at 0, 1, … mm, so the ball's is at centre - 0.5; LPS negates x and y.
    places = [box_data.centre(n) - 0.5 for n in range(COUNT)]
    rows = [(name, -x, -x, x, 2 * RADIUS) for name, x in zip(NAMES, places, strict=True)]
    box_data.table(root / "boxes.csv", SPHERES, rows)
    words = ("LPS", "RAS", "0 of 4 within; 4 with x and y negated", "remedy:")
    refused(inspected(root), "boxes.csv", *words)
    right = [(name, x, x, x, 2 * RADIUS) for name, x in zip(NAMES, places, strict=True)]
    box_data.table(root / "boxes.csv", SPHERES, right)
    assert inspected(root)[0] == 0


def numbers(root: Path, name: str, values: list[int], table: dict[str, int]) -> None:
    """Write an instance map of a cube per value, and the table of their classes."""
    found = np.zeros((box_data.SIZE,) * 3, np.uint8)
    for place, value in enumerate(values):
        found[8 * place : 8 * place + 5, 3:9, 3:9] = value
    box_data.volume(root / f"labelsTr/{name}.nii.gz", found)
    (root / f"labelsTr/{name}.json").write_text(json.dumps({"instances": table}))


def test_an_instance_map_with_gaps_is_noted_and_one_that_its_table_lacks_refused(inspected, here):
    root = box_data.nndetection(here / "data")
    numbers(root, "case1", [1, 3], {"1": 0, "3": 0})
    code, said = inspected(root)
    assert code == 0 and "instances are not numbered throughout: 2 values up to 3" in said
    numbers(root, "case1", [1, 3], {"1": 0})
    words = ("the map has instances that the table lacks", "remove 3 from the map")
    refused(inspected(root), "case1.nii.gz", *words)
    numbers(root, "case1", [1], {"1": 0, "2": 0})
    words = ("the table names instances that the map lacks", "remove 2 from the table")
    refused(inspected(root), "case1.nii.gz", *words)


def test_masks_have_no_boxes_and_boxes_no_components(inspected, here):
    masks, boxes = box_data.masks(here / "masks"), box_data.voc(here / "boxes")
    refused(inspected(masks, "detection.objects=boxes"), "masks", "has masks, no boxes")
    refused(inspected(boxes, "detection.objects=components"), "boxes", "objects by boxes")


def test_a_data_set_without_any_object_is_refused(inspected, here):
    root = box_data.masks(here / "data")
    for name in NAMES:
        empty = np.zeros((box_data.SIZE,) * 3, np.uint8)
        box_data.volume(root / f"labelsTr/{name}.nii.gz", empty)
    refused(inspected(root), "data", "no image has an object", "ball", "detection.smallest")


BOXES = "task: detection\ndata: {root: somewhere}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOXES + "network: unet\n", "bad.yaml:3: network: unet is for masks"),
        (BOXES + "network: monai.UNet\n", "bad.yaml:3: network: monai.UNet is for masks"),
        (BOXES + "loss: dice_ce\n", "bad.yaml:3: loss: dice_ce is for masks"),
        (BOXES + "augmentation: [mirror, elastic]\n", "boxes cannot follow an elastic"),
        (
            BOXES + "inference: {postprocessing: [{name: fill_holes}]}\n",
            "bad.yaml:3: inference.postprocessing: is for masks",
        ),
        (BOXES + "cascade: {first: coarse}\n", "bad.yaml:3: cascade.first: is for masks"),
        (
            "task: detection\ndata: {root: x, empty_labels: true}\n",
            "data.empty_labels: is for masks, and task is detection; what an image without",
        ),
        (
            BOXES + "network: centre_net\ndetection: {anchors: 2}\n",
            "detection.anchors: has no meaning with centre_net",
        ),
        ("detection: {hit: iou}\n", "bad.yaml:1: detection.hit: has no meaning without task"),
        ("plan: {levels: [1]}\n", "bad.yaml:1: plan.levels: has no meaning without task"),
        ("network: retina_net\n", "bad.yaml:1: network: retina_net finds boxes"),
        ("loss: retina\n", "bad.yaml:1: loss: retina finds boxes"),
    ],
)
def test_what_is_for_the_other_task_is_refused_with_its_line(cli, here, text, words):
    (here / "bad.yaml").write_text(text)
    code, _, err = cli("validate", "bad.yaml")
    assert code == 2 and words in " ".join(err.split())


def test_a_loss_that_does_not_fit_its_detector_is_refused(cli, here):
    box_data.voc(here / "data")
    text = "task: detection\ndata: {root: data, workers: 0, folds: 2}\ntrainer: {steps: 1}\n"
    (here / "bad.yaml").write_text(text + "network: centre_net\nloss: retina\n")
    code, _, err = cli("fit", "bad.yaml")
    assert code == 2
    assert "the loss retina does not fit the network centre_net" in err and "bad.yaml:5" in err


def test_boxes_alone_are_ellipsoids_to_a_network_that_segments_and_this_is_said(cli, here):
    box_data.voc(here / "data")
    text = "task: detection\ndata: {root: data, workers: 0, folds: 2}\ntrainer: {steps: 1}\n"
    (here / "boxes.yaml").write_text(text)
    code, out, err = cli("plan", "boxes.yaml")
    assert code == 0
    assert "the ellipsoids inside the boxes" in out + err and "network=retina_net" in out + err
    code, out, err = cli("plan", "boxes.yaml", "network=retina_net", "run_dir=other")
    assert code == 0 and "ellipsoids" not in out + err
