from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from medseg.errors import InputError
from medseg.inference import Predictor
from medseg.inference.detection import Detector
from medseg.inference.detection.keep_file import NAME
from medseg.inference.detection.keeping import KeepRule
from tests.checkpoints import make_plan as plan_of_masks
from tests.checkpoints import make_record, write
from tests.detectors import corners_of, save_detector, save_run, save_scan, scene

SCENE = scene((32, 24, 40), ((8, 0, 16), 1), ((16, 16, 0), 2), ((0, 8, 32), 1.25))
BOXES = [(0, 8, 32, 8, 16, 40), (8, 0, 16, 16, 8, 24), (16, 16, 0, 24, 24, 8)]


def load(path, **options) -> Detector:
    return Detector.load(path, device="cpu", trust=["tests"], **options)


def keep(run, text: str):
    (run / NAME).write_text(f"detection: {text}\n")
    return run


@pytest.fixture
def run(tmp_path):
    return save_run(tmp_path / "run")


def test_boxes_come_back_in_the_voxels_of_the_file(run, tmp_path):
    # The file's first axis runs to the left, its voxels are thick: other than the plan's.
    affine = np.diag([-1.0, 1, 1, 1])
    path = save_scan(tmp_path / "scan.nii.gz", SCENE, affine=affine)
    found = load(run)(path)
    assert corners_of(found.boxes) == BOXES
    assert sorted(found.names) == ["mass", "nodule", "nodule"]
    assert np.allclose(sorted(found.scores), [0.5, 1, 1], atol=1e-4)
    assert found.grid.shape == SCENE.shape and np.allclose(found.grid.affine, affine)


def test_files_arrays_and_lists_of_paths_give_the_same(run, tmp_path):
    detector, path = load(run), save_scan(tmp_path / "scan.nii.gz", SCENE)
    wanted = detector(path).boxes.corners
    for image in (str(path), [path], SCENE, SCENE[None]):
        assert np.array_equal(detector(image).boxes.corners, wanted)


def test_all_folds_of_a_run_look_together(tmp_path):
    # One fold is blind: what the other sees counts half.
    both = load(save_run(tmp_path / "run", 1.0, 0.0))
    found = both(SCENE)
    assert len(both.networks) == 2 and corners_of(found.boxes) == BOXES
    assert np.allclose(sorted(found.scores), [0.25, 0.5, 0.5], atol=1e-4)


def test_folds_with_other_anchors_are_refused(tmp_path):
    run = save_run(tmp_path / "run")
    other = save_run(tmp_path / "other")
    checkpoint = other / "fold_0" / "checkpoints" / "best.ckpt"
    from tests.detectors import make_plan

    plan = {**make_plan().to_dict(), "anchors": [[[9.0, 9.0, 9.0]]]}
    save_detector(checkpoint, plan=plan)
    (other / "fold_0").rename(run / "fold_1")
    with pytest.raises(InputError, match="differ in their anchors"):
        load(run)


def test_what_was_chosen_is_kept(run):
    keep(run, "{score: {nodule: 0.9, mass: 0.9}}")
    assert corners_of(load(run)(SCENE).boxes) == BOXES[1:]
    checkpoint = run / "fold_0" / "checkpoints" / "best.ckpt"
    assert len(load(checkpoint)(SCENE)) == 2
    assert len(load(run, keep="none")(SCENE)) == 3


def test_size_and_neighbours_are_looked_at_on_the_files_own_grid(run):
    # Its voxels are half as large: 8 voxels of the plan are 16 of them, and 8 mm as before.
    fine = SCENE.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    for size, left in ((7.5, 3), (8.5, 1)):
        keep(run, f"{{min_size: {{nodule: {size}}}}}")
        assert len(load(run)(fine, spacing=0.5)) == left


def test_a_recipe_that_says_none_keeps_all_and_whoever_asks_otherwise_counts(run):
    keep(run, "{score: {nodule: 0.9}}")
    (run / "recipe.yaml").write_text("inference: {postprocessing: none}\n")
    assert len(load(run)(SCENE)) == 3
    assert len(load(run, keep="auto")(SCENE)) == 2


def test_a_score_of_ones_own_replaces_that_of_the_file(run):
    keep(run, "{nms: 0.3, score: {nodule: 0.9, mass: 0.9}}")
    detector = load(run, score=0.4)
    assert len(detector(SCENE)) == 3 and detector.keep.nms == 0.3
    with pytest.raises(InputError, match="no score"):
        load(run, score=1.5)


def test_another_runs_file_or_a_rule_may_be_given(run, tmp_path):
    other = tmp_path / "mine.yaml"
    other.write_text("detection: {score: {mass: 0.99999}}")
    assert sorted(load(run, keep=other)(SCENE).names) == ["nodule", "nodule"]
    assert len(load(run, keep=KeepRule(score={"nodule": 0.9}))(SCENE)) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("detection: [", "does not say which boxes"),
        ("detection: {score: 3}", "score has a number for each class"),
        ("detection: {score: {vessel: 0.3}}", "no class 'vessel'"),
        ('detection: {}\n# classes: ["cell"]', "chosen for other classes"),
    ],
)
def test_a_damaged_file_of_what_is_kept_is_named(run, text, said):
    (run / NAME).write_text(text)
    with pytest.raises(InputError, match=said) as error:
        load(run)
    assert error.value.file == run / NAME
    assert len(load(run, keep="none")(SCENE)) == 3


def test_pictures_have_boxes_of_rows_and_columns(tmp_path):
    detector = load(save_run(tmp_path / "run", spatial_dims=2))
    picture = scene((24, 40), ((8, 24), 1)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "cells.png")
    assert corners_of(detector(tmp_path / "cells.png").boxes) == [(8, 24, 16, 32)]


def test_an_image_without_objects_has_none(run):
    found = load(run)(np.zeros((20, 20, 20), np.float32))
    assert len(found) == 0 and found.boxes.corners.shape == (0, 6)


def test_a_picture_for_a_network_of_volumes_is_refused(run, tmp_path):
    Image.new("L", (24, 24)).save(tmp_path / "flat.png")
    with pytest.raises(InputError, match="takes 3D images") as error:
        load(run)(tmp_path / "flat.png")
    assert error.value.file == tmp_path / "flat.png"
    with pytest.raises(InputError, match="takes 3D images"):
        load(run)(np.zeros((24, 24), np.float32))


def test_a_volume_for_a_network_of_pictures_is_refused(tmp_path):
    detector = load(save_run(tmp_path / "run", spatial_dims=2))
    with pytest.raises(InputError, match="takes 2D images"):
        detector(save_scan(tmp_path / "scan.nii.gz", SCENE))


def test_another_number_of_channels_is_refused(run, tmp_path):
    path = save_scan(tmp_path / "scan.nii.gz", np.stack([SCENE, SCENE], axis=-1))
    with pytest.raises(InputError, match=r"2 channels, where one is wanted") as error:
        load(run)(path)
    assert error.value.file == path


def test_videos_are_refused(tmp_path):
    detector = load(save_run(tmp_path / "run", spatial_dims=2))
    (tmp_path / "beat.avi").write_bytes(b"RIFF")
    with pytest.raises(InputError, match="not looked for in videos"):
        detector(tmp_path / "beat.avi")


def test_a_network_that_segments_is_no_detector_and_the_other_way_round(run, tmp_path):
    masks = write(tmp_path / "masks.ckpt", make_record(plan_of_masks()))
    with pytest.raises(InputError, match="another task") as error:
        load(masks)
    assert error.value.file == masks and "segments" in error.value.remedy
    with pytest.raises(InputError, match="another task") as error:
        Predictor.load(run, trust=["tests"])
    assert "medseg.inference.detection.Detector" in error.value.remedy


def test_objects_are_outlined_where_they_were_found(run):
    # One block is doubtful, and a speck has no box.
    image = np.where(SCENE == 1.25, 1.3, SCENE).astype(np.float32)
    image[30, 20, 20] = 1
    outlines = load(run).instances(image)
    assert len(load(run)(image)) == 3
    wanted = np.zeros(SCENE.shape, int)
    for number, name in enumerate(outlines.objects.names, start=1):
        wanted[{"nodule": SCENE == 1, "mass": SCENE == 2}[name]] = number
    assert (outlines.map == wanted).all()
    assert corners_of(outlines.objects.boxes) == BOXES[1:]
    assert len(load(run, score=0.1).instances(image).objects) == 3


def test_a_network_that_finds_boxes_only_outlines_nothing(tmp_path):
    detector = load(save_run(tmp_path / "run", segments=False))
    with pytest.raises(InputError, match="boxes only") as error:
        detector.instances(SCENE)
    assert "retina_unet" in error.value.expected
