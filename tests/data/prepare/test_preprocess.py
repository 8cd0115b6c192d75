from __future__ import annotations

import numpy as np
import pytest

from medseg.data.case import LabelVolume, Volume
from medseg.data.prepare.preprocess import plan_crop, plan_resample, preprocess
from medseg.data.prepare.reading import read_image, read_label
from medseg.data.prepare.resampling import resample_image
from medseg.data.prepare.steps import Crop, Normalise, Reorient, Resample
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.labels import LabelScheme
from medseg.planning.plan import Normalisation, PreprocessingPlan

ISO = (1.0, 1.0, 1.0)


def plan(spacing=ISO, crop="nonzero", orientation="RAS", **scheme) -> PreprocessingPlan:
    return PreprocessingPlan(orientation, crop, spacing, (Normalisation(**scheme),))


def volume(data: np.ndarray, spacing=1.0) -> Volume:
    data = np.asarray(data, dtype=np.float32)
    return Volume(data, Grid.from_spacing(data.shape[1:], spacing))


def block(low=10.0, shape=(10, 11, 12)) -> np.ndarray:
    data = np.zeros((1, *shape), np.float32)
    inner = np.random.default_rng(0).normal(low, 2, (5, 6, 7))
    data[0, 2:7, 3:9, 4:11] = inner
    data[0, 4, 5, 6] = 0  # a hole
    return data


def test_the_steps_come_in_order():
    done = preprocess(volume(block()), plan(spacing=(0.7, 0.7, 0.7)))
    assert [type(s) for s in done.record] == [Reorient, Crop, Normalise, Resample]
    assert done.grid.shape == done.image.shape[1:]
    assert done.image.dtype == np.float32
    assert done.image.flags["C_CONTIGUOUS"]


def test_normalising_comes_before_resampling():
    case = volume(block())
    done = preprocess(case, plan(spacing=(0.5, 1.0, 1.0), crop="none"))
    scaled = (case.data - case.data.mean()) / case.data.std()
    expected = resample_image(scaled, case.grid, case.grid.resample((20, 11, 12)))
    assert done.image == pytest.approx(expected, abs=1e-4)


def test_the_crop_is_the_box_of_voxels_that_any_channel_fills():
    data = np.concatenate([block(), np.zeros((1, 10, 11, 12))])
    data[1, 9, 0, 5] = -3
    step = plan_crop(data, Grid.from_spacing((10, 11, 12)))
    assert (step.start, step.stop) == ((2, 0, 4), (10, 9, 11))


def test_an_all_zero_image_keeps_its_grid():
    done = preprocess(volume(np.zeros((1, 4, 5, 6))), plan())
    assert done.image.shape == (1, 4, 5, 6)
    assert not done.image.any()


def test_zscore_gives_mean_0_and_deviation_1_and_records_what_it_took():
    case = volume(block())
    done = preprocess(case, plan(crop="none"))
    assert done.image.mean() == pytest.approx(0, abs=1e-5)
    assert done.image.std() == pytest.approx(1, abs=1e-5)
    used = done.record[-1].channels[0]
    assert used.mean == pytest.approx(float(case.data.mean(dtype=np.float64)))


def test_minmax_reaches_from_0_to_1_and_survives_a_constant_image():
    scheme = {"scheme": "minmax"}
    done = preprocess(volume(block()), plan(crop="none", **scheme))
    assert (done.image.min(), done.image.max()) == (0, pytest.approx(1))
    assert not preprocess(volume(np.ones((1, 4, 5, 6))), plan(crop="none", **scheme)).image.any()


def test_masked_zscore_leaves_zeros_zero():
    case = volume(block(low=500.0))
    done = preprocess(case, plan(crop="none", masked=True))
    inside = case.data != 0
    assert not done.image[~inside].any()
    assert done.image[inside].mean() == pytest.approx(0, abs=1e-4)
    assert done.image[inside].std() == pytest.approx(1, abs=1e-4)


def test_ct_is_clipped_then_scaled_by_the_data_sets_numbers():
    data = np.array([-2000.0, -100.0, 0.0, 50.0, 300.0, 3000.0]).reshape(1, 6, 1, 1)
    scheme = {"scheme": "ct", "lower": -100.0, "upper": 300.0, "mean": 50.0, "std": 25.0}
    done = preprocess(volume(data), plan(crop="none", **scheme))
    assert done.image.ravel() == pytest.approx([-6, -6, -2, 0, 10, 10])


def test_no_normalisation_leaves_the_values():
    assert np.array_equal(
        preprocess(volume(block()), plan(crop="none", scheme="none")).image, block()
    )


@pytest.mark.parametrize("value", [7.0, 1_704_295.0])
def test_a_constant_image_becomes_zero_and_finite(value):
    done = preprocess(volume(np.full((1, 3, 4, 5), value)), plan())
    assert done.image == pytest.approx(0)


def test_huge_intensities_keep_their_variance():
    data = 1_704_295 + np.random.default_rng(0).normal(size=(1, 30, 30, 30)).astype(np.float32)
    done = preprocess(volume(data), plan(crop="none"))
    assert done.image.std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("noise", [1.0, 1.0000001, 0.9995])
def test_almost_equal_spacings_are_not_resampled(noise):
    assert plan_resample(Grid.from_spacing((2000, 20, 20), noise), ISO) is None


def test_a_box_that_rounds_to_the_same_shape_is_not_resampled():
    assert plan_resample(Grid.from_spacing((10, 10, 10), 1.01), ISO) is None


def test_resampling_gives_the_planned_spacing_to_half_a_voxel():
    grid = Grid.from_spacing((33, 47, 21), (0.7, 0.9, 3.0))
    target = plan_resample(grid, ISO).target
    assert target.shape == (23, 42, 63)
    assert target.spacing == pytest.approx(ISO, rel=0.03)


def test_label_and_image_stay_on_one_grid():
    data = block()
    label = (data[0] > 10).astype(np.uint8)
    case = volume(data, (1.0, 1.0, 2.0))
    done = preprocess(case, plan(), LabelVolume(label, case.grid))
    assert done.label.shape == done.image.shape[1:] == (5, 6, 14)
    assert done.label.dtype == np.uint8
    assert done.image[0][done.label == 1].mean() > done.image[0][done.label == 0].mean()


def test_the_input_is_left_alone():
    data = block()
    before = data.copy()
    preprocess(volume(data), plan(scheme="ct", lower=0, upper=5, mean=1, std=2, masked=False))
    assert np.array_equal(data, before)


def test_pictures_go_the_same_way():
    data = np.random.default_rng(0).uniform(1, 255, (3, 20, 30))
    pictures = PreprocessingPlan(None, "none", (2.0, 2.0), (Normalisation(),) * 3)
    done = preprocess(volume(data), pictures)
    assert done.image.shape == (3, 10, 15)
    assert done.grid.spacing == (2.0, 2.0)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [(plan(spacing=(1.0, 1.0)), "axes"), (PreprocessingPlan(None, "none", ISO, ()), "channels")],
)
def test_a_plan_for_other_data_is_refused(wrong, match):
    with pytest.raises(InputError, match=match):
        preprocess(volume(block()), wrong)


def test_a_real_case_keeps_its_volumes(real_data):
    root = real_data("ct/msd_spleen_2_bids")
    image = read_image(root / "sub-spleen2/ct/sub-spleen2_ct.nii.gz", channels=1)
    label = read_label(
        root / "derivatives/labels/sub-spleen2/ct/sub-spleen2_ct_seg-manual.nii.gz",
        LabelScheme({"spleen": 1}),
        like=image,
    )
    ct = {"scheme": "ct", "lower": -41.0, "upper": 176.0, "mean": 99.0, "std": 39.0}
    done = preprocess(image, plan(spacing=(1.5, 1.5, 5.0), **ct), label)
    before = label.data.sum() * np.prod(image.grid.spacing)
    after = done.label.sum() * np.prod(done.grid.spacing)
    assert done.record[-1].coarse_axis == 2
    assert after == pytest.approx(before, rel=0.02)
    assert done.image[0][done.label == 1].mean() == pytest.approx(0, abs=0.6)
