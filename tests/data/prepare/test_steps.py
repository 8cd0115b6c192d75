from __future__ import annotations

import itertools
import json

import nibabel as nib
import numpy as np
import pytest
import torch

from medseg.data.case import LabelVolume, Volume
from medseg.data.prepare.preprocess import plan_reorient, preprocess
from medseg.data.prepare.steps import (
    Crop,
    Normalise,
    Reorient,
    Resample,
    crop,
    invert_index_array,
    record_from_dict,
    record_to_dict,
    reorient,
    undo_crop,
    undo_reorient,
)
from medseg.geometry import Grid
from medseg.planning.plan import Normalisation, PreprocessingPlan

CODES = [
    "".join(c) for a in itertools.permutations(("RL", "AP", "SI")) for c in itertools.product(*a)
]


def turned(code: str, shape=(5, 6, 7), tilt: float = 0.2) -> nib.Nifti1Image:
    """An image stored in the axes of ``code``, a little oblique, every voxel different."""
    c, s = np.cos(tilt), np.sin(tilt)
    ras = nib.affines.from_matvec(
        np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.diag([0.9, 1.4, 2.5]), (-8, 30, 4)
    )
    data = np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)
    change = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(code)
    )
    return nib.Nifti1Image(data, ras).as_reoriented(change)


def grid_of(image: nib.Nifti1Image) -> Grid:
    return Grid(image.shape, image.affine)


def test_there_are_48_ways_to_store_a_volume():
    assert len(set(CODES)) == 48


@pytest.mark.parametrize("code", CODES)
def test_reorienting_equals_nibabels_closest_canonical(code):
    image = turned(code)
    step = plan_reorient(grid_of(image))
    expected = nib.as_closest_canonical(image)
    assert np.array_equal(reorient(image.get_fdata(), step), expected.get_fdata())
    assert step.target.affine == pytest.approx(expected.affine)
    assert step.target.shape == expected.shape


@pytest.mark.parametrize("code", CODES)
def test_undoing_brings_every_voxel_home(code):
    image = turned(code)
    step = plan_reorient(grid_of(image))
    array = np.stack([image.get_fdata(), -image.get_fdata()])
    assert np.array_equal(undo_reorient(reorient(array, step), step), array)
    tensor = torch.from_numpy(array)
    assert torch.equal(undo_reorient(reorient(tensor, step), step), tensor)


@pytest.mark.parametrize("orientation", ["LPS", "PIR", "SAL"])
def test_other_orientations_can_be_asked_for(orientation):
    step = plan_reorient(grid_of(turned("RAS")), orientation)
    assert "".join(nib.aff2axcodes(step.target.affine)) == orientation


@pytest.mark.parametrize("as_tensor", [False, True])
def test_undo_crop_puts_the_box_back_and_fills_the_rest(as_tensor):
    array = np.random.default_rng(0).normal(size=(2, 5, 6, 7))
    step = Crop(Grid.from_spacing((5, 6, 7)), (1, 0, 3), (4, 6, 5))
    given = torch.from_numpy(array) if as_tensor else array
    back = np.asarray(undo_crop(crop(given, step), step, fill=-1))
    assert back.shape == array.shape
    assert np.array_equal(back[:, 1:4, :, 3:5], array[:, 1:4, :, 3:5])
    back[:, 1:4, :, 3:5] = -1
    assert (back == -1).all()


@pytest.mark.parametrize("code", CODES)
def test_a_label_comes_back_exactly_when_nothing_was_resampled(code):
    image = turned(code)
    data = image.get_fdata(dtype=np.float32).copy()
    data[0] = data[:, :, -1] = 0  # cropped away
    label = (data.astype(int) % 5).astype(np.uint8)
    plan = PreprocessingPlan("RAS", "nonzero", (0.9, 1.4, 2.5), (Normalisation(),))
    done = preprocess(Volume(data[None], grid_of(image)), plan, LabelVolume(label, grid_of(image)))
    assert not any(isinstance(step, Resample) for step in done.record)
    assert np.array_equal(invert_index_array(done.record, done.label), label)


@pytest.mark.parametrize("code", ["RAS", "LPI", "SRP", "ILA"])
def test_a_resampled_label_comes_back_to_the_same_place(code):
    shape = (24, 20, 18)
    image = turned(code, shape)
    label = np.zeros(image.shape, np.uint8)
    label[6:14, 5:12, 4:13] = 1
    label[8:11, 7:10, 6:10] = 2
    plan = PreprocessingPlan("RAS", "none", (0.6, 0.6, 1.0), (Normalisation(),))
    grid = grid_of(image)
    done = preprocess(
        Volume(image.get_fdata(dtype=np.float32)[None], grid), plan, LabelVolume(label, grid)
    )
    back = invert_index_array(done.record, done.label)
    assert back.shape == label.shape
    assert set(np.unique(back)) == {0, 1, 2}
    assert (back == label).mean() > 0.99


def test_the_record_survives_json():
    grid = Grid.from_spacing((5, 6, 7), (0.1, 1 / 3, 2.0))
    record = (
        Reorient(grid, (2, 0, 1), (True, False, True)),
        Crop(grid, (0, 1, 2), (3, 4, 5)),
        Normalise((Normalisation("ct", False, -100.0, 300.0, 1 / 7, 55.0), Normalisation())),
        Resample(grid, (9, 9, 9), 2),
        Resample(grid, (9, 9, 9)),
    )
    assert record_from_dict(json.loads(json.dumps(record_to_dict(record)))) == record


def test_an_unknown_step_is_refused():
    with pytest.raises(ValueError, match="wobble"):
        record_from_dict([{"step": "wobble", "source": Grid.from_spacing((1, 1)).to_dict()}])


def test_the_coarse_axis_is_never_interpolated():
    grid = Grid.from_spacing((4, 4, 4))
    assert Resample(grid, (2, 2, 2), 1).orders(3) == (3, 0, 3)
    assert Resample(grid, (2, 2, 2)).orders(1) == (1, 1, 1)
