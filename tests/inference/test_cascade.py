"""A cascade of two networks that are thresholds: what comes out is known to the voxel."""

from __future__ import annotations

import logging

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

from medseg.data.case import Case, Volume
from medseg.data.prepare.boxes import guided_box
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.inference import Ensemble, Predictor
from medseg.inference.cascade import first_folder, guidance_of
from medseg.inference.checkpoint import read
from medseg.planning.guidance import Guidance

SHAPE = (30, 26, 22)


class GuidedThreshold(nn.Module):
    """Class 1 where the image is above a level and, if it is shown, the guide has class 1."""

    def __init__(self, level: float, *, shown: bool) -> None:
        super().__init__()
        self.level, self.shown = level, shown
        self.inputs: list[tuple[int, ...]] = []

    def forward(self, image):
        self.inputs.append(tuple(image.shape[1:]))
        first = image[:, :1] - self.level
        if self.shown:
            first = torch.minimum(first, image[:, 1:2] - 0.5)
        return torch.cat([torch.zeros_like(first), first], dim=1)


@pytest.fixture
def stages(threshold, labels, plan_of):
    """Make a cascade: a first stage that sees above ``low``, a second above ``high``."""

    def make(use, *, low=0.8, high=0.2, spacing=(1.0,) * 3, margin=2.0):
        options = {"labels": labels, "patch_size": (12,) * 3, "device": "cpu"}
        first = Predictor(
            threshold(low), preprocessing=plan_of((2.0, 2.0, 2.0)).preprocessing, **options
        )
        return Predictor(
            GuidedThreshold(high, shown=use != "crop"),
            preprocessing=plan_of(spacing).preprocessing,
            guidance=Guidance(use, 1, margin),
            first_stage=first,
            **options,
        )

    return make


def scene():
    """A bright block with a dim rim, and a dim block far away from it."""
    image = np.zeros(SHAPE, np.float32)
    image[6:16, 6:16, 6:16] = 0.5
    image[8:14, 8:14, 8:14] = 1.0
    image[24:28, 20:24, 16:20] = 0.5
    return image


def guide_of(cascade, image):
    grid = Grid.from_spacing(SHAPE, 1.0)
    return cascade.first_stage.predict_volume(Volume(image[None], grid)).data, grid


@pytest.mark.parametrize("use", ["crop", "both"])
def test_only_the_box_is_segmented(stages, use):
    cascade, image = stages(use), scene()
    guide, grid = guide_of(cascade, image)
    assert guide.any()
    start, stop = guided_box(guide, grid, 2.0)
    inside = tuple(map(slice, start, stop))
    found = cascade(image) == 3
    wanted = np.zeros(SHAPE, bool)
    wanted[inside] = image[inside] > 0.2
    if use == "both":
        wanted &= guide > 0
    assert np.array_equal(found, wanted)
    assert not found[24:28, 20:24, 16:20].any()


def test_channels_show_the_guide_everywhere(stages):
    cascade, image = stages("channels"), scene()
    guide, _ = guide_of(cascade, image)
    assert np.array_equal(cascade(image) == 3, (image > 0.2) & (guide > 0))
    assert {size[0] for size in cascade.networks[0].inputs} == {2}


def test_a_missed_organ_falls_back_to_the_whole_image_and_says_so(stages, caplog):
    cascade, image = stages("crop", low=5.0), scene()
    with caplog.at_level(logging.WARNING):
        found = cascade(image)
    assert np.array_equal(found == 3, image > 0.2)
    assert "found nothing" in caplog.text and "whole image" in caplog.text


def test_the_warning_names_the_file(stages, caplog, tmp_path):
    path = tmp_path / "scan_7.nii.gz"
    nib.save(nib.Nifti1Image(scene(), np.eye(4)), path)
    with caplog.at_level(logging.WARNING):
        stages("crop", low=5.0)(path)
    assert "scan_7.nii.gz" in caplog.text


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.4, 0.9, 1.1)])
def test_the_box_lies_on_the_files_own_grid(stages, tmp_path, spacing):
    affine = np.array([[0, 0, 1.0, 7], [-1.0, 0, 0, 3], [0, 1.0, 0, -9], [0, 0, 0, 1]])
    path = tmp_path / "turned.nii.gz"
    nib.save(nib.Nifti1Image(scene(), affine), path)
    mask = stages("crop", spacing=spacing)(path)
    assert mask.data.shape == SHAPE and np.allclose(mask.grid.affine, affine)
    straight = stages("crop", spacing=(1.0, 1.0, 1.0))(scene()) == 3
    if spacing == (1.0, 1.0, 1.0):
        assert np.array_equal(mask.data == 3, straight)
    overlap = 2 * ((mask.data == 3) & straight).sum() / ((mask.data == 3).sum() + straight.sum())
    assert overlap > 0.85


def test_probabilities_are_those_of_the_second_stage(stages):
    cascade, image = stages("crop"), scene()
    likely = cascade(image, probabilities=True)
    assert np.array_equal(likely.argmax(0) == 1, cascade(image) == 3)
    outside = likely[:, 24:28, 20:24, 16:20]
    assert (outside[0] == 1).all() and (outside[1] == 0).all()


def test_a_cascade_is_a_member_of_an_ensemble(stages):
    cascade, image = stages("both"), scene()
    assert np.array_equal(Ensemble([cascade, cascade])(image), cascade(image))


def test_a_case_that_brings_its_guide_needs_no_first_stage(stages, tmp_path):
    cascade, image = stages("channels"), scene()
    guide = np.zeros(SHAPE, np.uint8)
    guide[25:27, 20:24, 16:20] = 3
    for name, data in (("image", image), ("guide", guide)):
        nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / f"{name}.nii")
    cascade.first_stage = None
    case = Case("x", (tmp_path / "image.nii",), guide=tmp_path / "guide.nii")
    assert np.array_equal(cascade.predict_case(case).data > 0, guide > 0)
    with pytest.raises(InputError, match="first stage"):
        cascade(image)


@pytest.fixture
def run(tmp_path, record_of, plan_of):
    """Write a run folder whose first stage lies within it."""

    def write(folder=tmp_path / "run", **changes):
        first, second = record_of(plan_of()), record_of(plan_of(channels=2))
        second["medseg"]["plan"] = plan_of().to_dict()
        second["medseg"]["channels"] = ["channel0"]
        cascade = {"use": "channels", "classes": 1, "margin": 20.0, "first": "first"}
        second["medseg"]["cascade"] = {**cascade, **changes}
        for place, content in ((folder, second), (folder / "first", first)):
            file = place / "fold_0" / "checkpoints" / "best.ckpt"
            file.parent.mkdir(parents=True)
            torch.save(content, file)
        return folder

    return write


def test_one_folder_holds_both_stages_and_can_be_moved(run, tmp_path):
    folder, image = run(), scene()
    expected = Predictor.load(folder, device="cpu")(image)
    moved = folder.rename(tmp_path / "elsewhere")
    for path in (moved, moved / "fold_0", moved / "fold_0" / "checkpoints" / "best.ckpt"):
        predictor = Predictor.load(path, device="cpu")
        assert predictor.guidance == Guidance("channels", 1, 20.0)
        assert np.array_equal(predictor(image), expected)


def test_a_first_stage_that_was_moved_is_named(run, tmp_path):
    folder, image = run(), scene()
    expected = Predictor.load(folder, device="cpu")(image)
    (folder / "first").rename(tmp_path / "away")
    with pytest.raises(InputError, match="not where it was") as error:
        Predictor.load(folder, device="cpu")
    assert str(folder / "first") in str(error.value) and "--first" in str(error.value)
    again = Predictor.load(folder, device="cpu", first_stage=tmp_path / "away")
    assert np.array_equal(again(image), expected)


def test_a_first_stage_beside_the_run_is_found_relative_to_it(run, tmp_path):
    folder = run(first="../first_run")
    (folder / "first").rename(tmp_path / "first_run")
    assert first_folder(read(folder / "fold_0/checkpoints/best.ckpt")) == tmp_path / "first_run"
    assert Predictor.load(folder, device="cpu").first_stage is not None


def test_a_first_stage_of_other_labels_or_channels_is_refused(run, tmp_path, record_of, plan_of):
    folder = run()
    for key, value in (
        ("labels", {"values": {"background": 0, "kidney": 1}}),
        ("channels", ["CT"]),
    ):
        content = record_of(plan_of())
        content["medseg"][key] = value
        file = tmp_path / f"{key}.ckpt"
        torch.save(content, file)
        with pytest.raises(InputError, match=f"different {key}"):
            Predictor.load(folder, device="cpu", first_stage=file)


def test_a_run_that_is_no_cascade_takes_no_first_stage(run):
    folder = run()
    with pytest.raises(InputError, match="no cascade"):
        Predictor.load(folder / "first", device="cpu", first_stage=folder)


@pytest.mark.parametrize("change", [{"use": "eval"}, {"classes": None}, {"margin": "wide"}])
def test_a_damaged_record_is_refused(run, change):
    file = run(**change) / "fold_0" / "checkpoints" / "best.ckpt"
    with pytest.raises(InputError, match="how its first stage is used"):
        guidance_of(read(file))
