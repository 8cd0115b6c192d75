from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medseg.data.case import Case, Dataset, LabelVolume, Volume
from medseg.data.prepare.boxes import filled_box, guided_box
from medseg.data.prepare.cache import load, prepare_dataset
from medseg.data.prepare.guides import GuidedCrop, measure
from medseg.data.prepare.preprocess import preprocess
from medseg.data.prepare.steps import Crop, invert_index_array
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.labels import LabelScheme
from medseg.planning.guidance import Guidance
from medseg.planning.plan import Normalisation, PreprocessingPlan

LABELS = LabelScheme({"a": 1, "b": 7})
PLAN = PreprocessingPlan("RAS", "nonzero", (1.0, 1.0, 2.0), (Normalisation("none"),))
SHAPE, AFFINE = (20, 16, 12), np.diag([-1.0, 1.0, 2.0, 1.0])
CROP, CHANNELS, BOTH = (Guidance(use, 2, 3.0) for use in ("crop", "channels", "both"))


def make_volume(found=(slice(4, 9), slice(5, 8), slice(6, 8)), spacing=None):
    rng = np.random.default_rng(0)
    image = rng.uniform(1, 2, (1, *SHAPE)).astype(np.float32)
    guide = np.zeros(SHAPE, np.uint8)
    guide[found] = 1
    guide[found[0], found[1], found[2].stop - 1] = 2
    label = rng.integers(0, 3, SHAPE).astype(np.uint8)
    grid = Grid(SHAPE, AFFINE if spacing is None else np.diag([*spacing, 1.0]))
    return Volume(image, grid, guide=guide), LabelVolume(label, grid)


def test_a_box_holds_what_is_filled_and_no_more():
    filled = np.zeros((6, 7, 8), bool)
    assert filled_box(filled) is None
    filled[2, 3, 4] = filled[4, 3, 7] = True
    assert filled_box(filled) == ((2, 3, 4), (5, 4, 8))


@pytest.mark.parametrize(
    ("margin", "start", "stop"),
    [
        (0.0, (4, 5, 6), (9, 8, 8)),
        (3.0, (1, 2, 4), (12, 11, 10)),  # of 2 mm slices 3 mm are two
        (4.0000001, (0, 1, 4), (13, 12, 10)),
        (500.0, (0, 0, 0), SHAPE),
    ],
)
def test_a_margin_is_in_mm_rounded_up_and_ends_at_the_border(margin, start, stop):
    volume, _ = make_volume()
    assert guided_box(volume.guide, volume.grid, margin) == (start, stop)


def test_voxels_to_ignore_are_nothing_found():
    assert guided_box(np.full((3, 3, 3), 254, np.uint8), Grid.from_spacing((3, 3, 3)), 1) is None


def test_the_crop_is_placed_on_the_source_to_the_voxel():
    volume, label = make_volume()
    done = preprocess(volume, PLAN, label, guidance=CROP)
    start, stop = guided_box(volume.guide, volume.grid, 3.0)
    inside = tuple(map(slice, start, stop))
    back = invert_index_array(done.record, done.label)
    assert back.shape == SHAPE
    assert np.array_equal(back[inside], label.data[inside])
    outside = np.ones(SHAPE, bool)
    outside[inside] = False
    assert not back[outside].any()
    assert done.guide is None
    assert [type(step) for step in done.record].count(Crop) == 2


def test_an_images_mean_is_that_of_the_whole_image_whatever_is_cut():
    plan = replace(PLAN, normalisation=(Normalisation("zscore"),), spacing=(1.0, 1.0, 2.0))
    volume, _ = make_volume()
    whole, done = preprocess(volume, plan), preprocess(volume, plan, guidance=CROP)
    start = tuple(
        np.rint(np.linalg.solve(whole.grid.affine, [*done.grid.affine[:3, 3], 1]))[:3].astype(int)
    )
    inside = tuple(slice(a, a + n) for a, n in zip(start, done.image.shape[1:], strict=True))
    assert done.image.shape != whole.image.shape
    assert np.array_equal(done.image, whole.image[(slice(None), *inside)])


def test_where_the_crop_lies_in_space_is_known():
    volume, label = make_volume()
    done = preprocess(volume, PLAN, label, guidance=CROP)
    start, stop = guided_box(volume.guide, volume.grid, 3.0)
    # Turned to RAS the first axis runs backwards: the box's last voxel there comes first.
    corner = volume.grid.affine @ [stop[0] - 1, start[1], start[2], 1]
    assert np.allclose(done.grid.affine[:, 3], corner)


def test_a_guide_is_resampled_as_a_label_is():
    volume, _ = make_volume(spacing=(0.7, 1.6, 1.0))
    label = LabelVolume(volume.guide, volume.grid)
    for guidance in (CHANNELS, BOTH):
        done = preprocess(volume, PLAN, label, guidance=guidance)
        assert done.image.shape[1:] != SHAPE
        assert np.array_equal(done.guide, done.label)


def test_an_image_in_which_nothing_was_found_stays_whole():
    volume, label = make_volume()
    volume = volume._replace(guide=np.zeros(SHAPE, np.uint8))
    done, whole = preprocess(volume, PLAN, label, guidance=BOTH), preprocess(volume, PLAN, label)
    assert np.array_equal(done.image, whole.image) and done.record == whole.record
    assert not done.guide.any()


@pytest.mark.parametrize("guide", [None, np.zeros((3, 3, 3), np.uint8)])
def test_a_guide_that_is_not_there_or_of_another_shape_is_refused(guide):
    volume, _ = make_volume()
    with pytest.raises(InputError, match="first stage"):
        preprocess(volume._replace(guide=guide), PLAN, guidance=CROP)


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    volume, label = make_volume()
    for name, data in (("image", volume.data[0]), ("label", label.data), ("guide", volume.guide)):
        data = data if name == "image" else LABELS.to_value(data)
        path = tmp_path / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image(data, AFFINE), path)
        os.utime(path, (1e9, 1e9))
    paths = (tmp_path / f"{name}.nii.gz" for name in ("image", "label", "guide"))
    image, reference, guide = paths
    case = Case("one", (image,), reference, guide=guide)
    return Dataset("test", tmp_path, (case,), ("MR",), LABELS)


def test_the_cache_keeps_the_guide_where_it_is_shown(dataset, tmp_path):
    volume, label = make_volume()
    for guidance in (CROP, CHANNELS, BOTH):
        index = prepare_dataset(dataset, PLAN, tmp_path / "cache", guidance=guidance)
        expected = preprocess(volume, PLAN, label, guidance=guidance)
        for case in (*index.load_all(), load(index.entries["one"])):
            assert np.allclose(case.image, expected.image)
            assert np.array_equal(case.label, expected.label)
            if expected.guide is None:
                assert case.guide is None
            else:
                assert np.array_equal(case.guide, expected.guide)
            again = pickle.loads(pickle.dumps(case))
            assert (again.guide is None) == (case.guide is None)


def test_entries_are_found_again_and_follow_the_guide(dataset, tmp_path):
    cache = tmp_path / "cache"
    first = prepare_dataset(dataset, PLAN, cache, guidance=CHANNELS)
    assert first.built == ("one",)
    assert prepare_dataset(dataset, PLAN, cache, guidance=CHANNELS).built == ()
    # A margin means nothing where nothing is cropped.
    assert prepare_dataset(dataset, PLAN, cache, guidance=replace(CHANNELS, margin=9)).built == ()
    assert prepare_dataset(dataset, PLAN, cache, guidance=CROP).built == ("one",)
    assert prepare_dataset(dataset, PLAN, cache, guidance=replace(CROP, margin=9)).built
    nothing = np.zeros(SHAPE, np.uint8)
    nib.save(nib.Nifti1Image(nothing, AFFINE), dataset.cases[0].guide)
    again = prepare_dataset(dataset, PLAN, cache, guidance=CHANNELS)
    assert again.built == ("one",) and not again.load("one").guide.any()


def test_a_damaged_guide_is_made_anew(dataset, tmp_path):
    index = prepare_dataset(dataset, PLAN, tmp_path / "cache", guidance=CHANNELS)
    expected = np.array(index.load("one").guide)
    file = index.entries["one"] / "guide.npy"
    spoilt = bytearray(file.read_bytes())
    spoilt[-5] ^= 1
    file.write_bytes(spoilt)
    said = []
    again = prepare_dataset(dataset, PLAN, tmp_path / "cache", guidance=CHANNELS, say=said.append)
    assert again.built == ("one",) and "damaged" in said[0]
    assert np.array_equal(again.load("one").guide, expected)


def test_a_guide_on_another_grid_is_named(dataset, tmp_path):
    case = dataset.cases[0]
    nib.save(nib.Nifti1Image(np.zeros((5, 5, 5), np.uint8), AFFINE), case.guide)
    with pytest.raises(InputError, match="same grid") as error:
        prepare_dataset(dataset, PLAN, tmp_path / "cache", guidance=CROP)
    assert str(case.guide) in str(error.value)
    unguided = replace(dataset, cases=(replace(case, guide=None),))
    with pytest.raises(InputError, match="no prediction of the first stage"):
        prepare_dataset(unguided, PLAN, tmp_path / "cache", guidance=CROP)


def test_what_a_crop_keeps_is_measured(dataset):
    volume, label = make_volume()
    inside = tuple(map(slice, *guided_box(volume.guide, volume.grid, 3.0)))
    found = measure(dataset.cases[0], LABELS, {}, 3.0)
    kept = (label.data[inside] > 0).sum() / (label.data > 0).sum()
    assert found == GuidedCrop((11, 9, 6), False, pytest.approx(kept))


def test_shapes_are_those_of_the_fingerprint(tmp_path):
    turned = np.array([[0, 0, 2.0, 0], [-1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1]])
    guide = np.zeros(SHAPE, np.uint8)
    guide[2:5, 3:9, 1:11] = 1
    for name in ("image", "guide"):
        nib.save(nib.Nifti1Image(guide, turned), tmp_path / f"{name}.nii")
    case = Case(
        "x", (tmp_path / "image.nii",), tmp_path / "image.nii", guide=tmp_path / "guide.nii"
    )
    # The third axis of the file runs to the right, the first to the back, the second upwards.
    assert measure(case, LABELS, {}, 0.0) == GuidedCrop((10, 3, 6), False, 1.0)
    nib.save(nib.Nifti1Image(np.zeros_like(guide), turned), Path(case.guide))
    assert measure(case, LABELS, {}, 0.0) == GuidedCrop((12, 20, 16), True, 1.0)
