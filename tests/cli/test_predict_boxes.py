"""``medseg predict`` where the run finds objects."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medseg.inference.detection.found_file import read_boxes
from tests.checkpoints import make_plan as plan_of_masks
from tests.checkpoints import make_record, write
from tests.detectors import corners_of, save_run, save_scan, save_series, scene

SCENE = scene((24, 24, 32), ((8, 0, 16), 1), ((16, 16, 0), 2), ((0, 16, 24), 1.25))
BOXES = [(0, 16, 24, 8, 24, 32), (8, 0, 16, 16, 8, 24), (16, 16, 0, 24, 24, 8)]
OF_A = ["a.json", "a.mrk.json", "a_boxes.nii.gz"]


@pytest.fixture
def run(here):
    return save_run(here / "run")


@pytest.fixture
def scans(here):
    for name in "ab":
        save_scan(here / "scans" / f"{name}.nii.gz", SCENE)
    return here / "scans"


@pytest.fixture
def predict(cli):
    def words(*given):
        return cli("predict", *given, "--device", "cpu", "--trust", "tests")

    return words


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_image_has_its_boxes_in_each_form(predict, run, scans, here):
    code, out, err = predict(run, scans, "-o", "out")
    assert code == 0, err
    assert "4 nodule, 2 mass" in out and "2 cases" in out
    assert names(here / "out") == [*OF_A, *(name.replace("a", "b", 1) for name in OF_A)]
    found = read_boxes(here / "out" / "a.json")
    assert corners_of(found.boxes) == BOXES
    numbered = np.asarray(nib.load(here / "out" / "a_boxes.nii.gz").dataobj)
    assert ((numbered > 0) == (SCENE > 0)).all()
    assert len(json.loads((here / "out" / "a.mrk.json").read_text())["markups"]) == 3


def test_json_names_the_files_of_each_case(predict, run, scans, here):
    code, out, err = predict(run, scans / "a.nii.gz", "-o", "out", "--json")
    assert code == 0, err
    assert json.loads(out) == {
        "a": [str(here.joinpath("out", n).relative_to(here)) for n in (OF_A[0], OF_A[2], OF_A[1])]
    }


def test_a_dry_run_shows_the_cases_and_writes_nothing(predict, run, scans, here):
    code, out, err = predict(run, scans, "-o", "out", "--dry-run", "--json")
    assert code == 0, err
    assert [*json.loads(out)] == ["a", "b"] and not (here / "out").exists()


def test_what_was_chosen_is_kept_unless_switched_off(predict, run, scans, here):
    (run / "detection.yaml").write_text("detection: {score: {nodule: 0.9, mass: 0.9}}")
    code, out, err = predict(run, scans / "a.nii.gz", "-o", "out")
    assert code == 0, err
    assert "nodule from a score of 0.9 on" in out and "1 nodule, 1 mass" in out
    for option, left in (("--postprocessing", "none"), ("--score", "0.1")):
        code, out, err = predict(run, scans / "a.nii.gz", "-o", left, option, left)
        assert code == 0 and "2 nodule, 1 mass" in out, err


def test_a_damaged_rule_is_named_before_anything_is_looked_at(predict, run, scans, here):
    (run / "detection.yaml").write_text("detection: {score: much}")
    code, _, err = predict(run, scans, "-o", "out")
    assert code == 2 and "detection.yaml" in err and not (here / "out").exists()


def test_instances_are_outlined_on_the_images_grid(predict, run, scans, here):
    code, _, err = predict(run, scans / "a.nii.gz", "-o", "out", "--instances", "--score", "0.9")
    assert code == 0, err
    table = json.loads((here / "out" / "a_instances.json").read_text())["instances"]
    drawn = np.asarray(nib.load(here / "out" / "a_instances.nii.gz").dataobj)
    bright = {one["class"]: np.unique(SCENE[drawn == one["value"]]).tolist() for one in table}
    assert bright == {"nodule": [1], "mass": [2]}
    assert drawn.shape == SCENE.shape and (drawn > 0).sum() == 2 * 8**3


def test_a_network_that_finds_boxes_only_has_no_instances(predict, scans, here):
    run = save_run(here / "run", segments=False)
    code, _, err = predict(run, scans, "-o", "out", "--instances")
    assert code == 2 and "boxes only" in err and not (here / "out").exists()


def test_runs_are_joined(predict, run, scans, here):
    other = save_run(here / "blind", 0.0)
    code, _, err = predict(run, scans / "a.nii.gz", "-o", "out", "--with", other)
    assert code == 0, err
    scores = read_boxes(here / "out" / "a.json").scores
    assert np.allclose(sorted(scores), [0.25, 0.5, 0.5], atol=1e-3)
    code, _, err = predict(run, scans, "-o", "twice", "--with", run)
    assert code == 2 and "averaged twice" in err
    code, _, err = predict(run, scans, "-o", "i", "--with", other, "--instances")
    assert code == 2 and "single run" in err


def test_pictures_have_their_boxes_in_pixels_too(predict, here):
    run = save_run(here / "run", spatial_dims=2)
    picture = scene((24, 40), ((8, 24), 1)).astype(np.uint8)
    Image.fromarray(picture).save(here / "cells.png")
    code, _, err = predict(run, "cells.png", "-o", "out")
    assert code == 0, err
    assert names(here / "out") == ["cells.json", "cells_boxes.png"]
    one = json.loads((here / "out" / "cells.json").read_text())["objects"][0]
    assert {key: round(value) for key, value in one["pixels"].items()} == {
        **{"x": 24, "y": 8},
        **{"width": 8, "height": 8},
    }


@pytest.mark.parametrize("option", [["--average", "logits"], ["--first", "run"]])
def test_options_of_masks_are_refused_with_the_reason(predict, run, scans, here, option):
    code, _, err = predict(run, scans, "-o", "out", *option)
    assert code == 2 and f"{option[0]} has no meaning" in err and not (here / "out").exists()


@pytest.mark.parametrize("option", [["--score", "0.5"], ["--score", "0"], ["--instances"]])
def test_options_of_boxes_are_refused_where_masks_are_made(predict, scans, here, option):
    masks = write(here / "masks.ckpt", make_record(plan_of_masks()))
    code, _, err = predict(masks, scans, "-o", "out", *option)
    assert code == 2 and f"{option[0]} has no meaning" in err and not (here / "out").exists()


def test_a_run_that_segments_does_not_join_one_that_finds(predict, run, scans, here):
    masks = write(here / "masks.ckpt", make_record(plan_of_masks()))
    for first, other in ((run, masks), (masks, run)):
        code, _, err = predict(first, scans, "-o", "out", "--with", other)
        assert code == 2 and "another task" in err, err


def test_a_score_that_is_none_is_refused(predict, run, scans):
    code, _, err = predict(run, scans, "-o", "out", "--score", "50")
    assert code == 2 and "between 0 and 1" in err


def test_no_folder_to_write_to_is_said(predict, run, scans):
    code, _, err = predict(run, scans)
    assert code == 2 and "where the boxes go" in err


def test_dicom_series_get_a_report_that_can_be_read(predict, run, here):
    pytest.importorskip("highdicom")
    from highdicom.sr import srread

    for name in ("p1", "p2"):
        save_series(here / "scans" / name, np.where(SCENE == 1.25, 0, SCENE))
    code, out, err = predict(run, here / "scans", "-o", "out")
    assert code == 0, err
    assert "2 nodule, 2 mass" in out
    document = srread(here / "out" / "p1.dcm")
    groups = document.content.get_volumetric_roi_measurement_groups()
    found = read_boxes(here / "out" / "p1.json")
    assert document.StudyInstanceUID == "1.2.4" and len(groups) == len(found) == 2
    for group, centre in zip(groups, found.to_world().centres, strict=True):
        surface, _ = group.roi
        ras = surface.value.mean(axis=0) * [-1, -1, 1]
        assert np.allclose(ras, centre, atol=1e-3)
    # In LPS, as the headers have it: the middle of voxels 8 to 15 is at 11.5 mm.
    assert np.allclose(sorted(np.abs(found.to_world().centres[:, 0])), [11.5, 19.5])


def test_a_series_without_a_frame_of_reference_has_all_but_the_report(predict, run, here):
    pytest.importorskip("highdicom")
    save_series(here / "p1", np.rint(SCENE), without=["FrameOfReferenceUID"])
    code, _, err = predict(run, "p1", "-o", "out")
    assert code == 0 and "no DICOM report of p1" in err and "FrameOfReferenceUID" in err
    assert names(here / "out") == ["p1.json", "p1.mrk.json", "p1_boxes.nii.gz"]
