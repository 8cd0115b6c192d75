from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy import ndimage

from medseg.data.prepare.resampling import (
    coarse_axis,
    nearest,
    resample_channel,
    resample_image,
    resample_label,
    weights,
)
from medseg.geometry import Grid

SHAPES = [((20, 17, 23), (31, 17, 12)), ((8, 30, 9), (5, 41, 27)), ((40, 33), (22, 50))]


def smooth(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, 1.5).astype(np.float32) * 10


def scipy_zoom(array: np.ndarray, shape: tuple[int, ...], order: int) -> np.ndarray:
    factors = [n / o for n, o in zip(shape, array.shape, strict=True)]
    return ndimage.zoom(array, factors, order=order, mode="nearest", grid_mode=True)


@pytest.mark.parametrize(("old", "new"), SHAPES)
@pytest.mark.parametrize("order", [1, 3])
def test_axis_by_axis_equals_scipys_zoom(old, new, order):
    array = smooth(old)
    assert resample_channel(array, new, order) == pytest.approx(
        scipy_zoom(array, new, order), abs=1e-4
    )


@pytest.mark.parametrize(("old", "new"), SHAPES)
@pytest.mark.parametrize("order", [0, 1, 3])
def test_torch_and_numpy_agree(old, new, order):
    array = smooth(old)
    tensor = resample_channel(torch.from_numpy(array), new, order)
    assert tensor.numpy() == pytest.approx(resample_channel(array, new, order), abs=1e-5)


def test_linear_equals_torchs_interpolate():
    array = torch.from_numpy(smooth((11, 12, 13)))
    expected = torch.nn.functional.interpolate(
        array[None, None], size=(7, 20, 13), mode="trilinear"
    )
    assert resample_channel(array, (7, 20, 13), 1).numpy() == pytest.approx(
        expected[0, 0].numpy(), abs=1e-5
    )


@pytest.mark.parametrize(
    ("order", "method"),
    [(0, sitk.sitkNearestNeighbor), (1, sitk.sitkLinear), (3, sitk.sitkBSpline)],
)
def test_positions_agree_with_simpleitk(order, method):
    array = smooth((23, 25, 21))  # odd sizes: no target voxel lies halfway
    source = Grid.from_spacing(array.shape, (1.0, 0.8, 1.3))
    target = source.resample((31, 19, 29))
    image = sitk.GetImageFromArray(array.T)
    image.SetSpacing(source.spacing)
    frame = sitk.Image(target.shape, sitk.sitkFloat32)
    frame.SetSpacing(target.spacing)
    frame.SetOrigin(target.affine[:3, 3].tolist())
    expected = sitk.GetArrayFromImage(sitk.Resample(image, frame, sitk.Transform(), method)).T
    ours = resample_channel(array, target.shape, order)
    # Outside the outermost voxel centres the two continue differently.
    inner = (slice(8, -8),) * 3
    assert ours[inner] == pytest.approx(expected[inner], abs=2e-2 if order == 3 else 1e-3)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_a_constant_stays_constant(order):
    assert resample_channel(np.full((5, 6, 7), 3.5, np.float32), (9, 4, 7), order) == pytest.approx(
        3.5, abs=1e-4
    )


def test_order_0_keeps_the_type_and_invents_nothing():
    labels = np.random.default_rng(0).integers(0, 9, (6, 7, 8)).astype(np.uint8)
    out = resample_channel(labels, (13, 5, 8), 0)
    assert out.dtype == np.uint8
    assert set(np.unique(out)) <= set(np.unique(labels))


def test_a_single_slice_is_repeated():
    slab = smooth((4, 5, 1))
    assert np.array_equal(resample_channel(slab, (4, 5, 3), 3), np.repeat(slab, 3, axis=2))


def test_rows_of_weights_sum_to_one():
    for order in (1, 3):
        assert weights(13, 29, order).sum(axis=1) == pytest.approx(1.0, abs=1e-5)


def test_nearest_takes_the_voxel_whose_box_holds_the_centre():
    assert nearest(4, 2).tolist() == [1, 3]
    assert nearest(2, 4).tolist() == [0, 0, 1, 1]
    assert nearest(1, 3).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("source", "target", "axis"),
    [
        ((0.8, 0.8, 5.0), (1.0, 1.0, 1.0), 2),
        ((5.0, 0.8, 0.8), (1.0, 1.0, 1.0), 0),
        ((1.0, 1.0, 1.0), (0.5, 4.0, 0.5), 1),
        ((1.0, 1.0, 3.0), (1.0, 1.0, 3.0), None),
        ((0.24, 1.25, 1.25), (1.0, 1.0, 1.0), None),
        ((0.1, 9.0), (1.0, 1.0), None),
    ],
)
def test_coarse_axis_follows_the_source_then_the_target(source, target, axis):
    assert coarse_axis(source, target) == axis


def test_thick_slices_are_not_interpolated_across():
    array = smooth((10, 12, 4))[None]
    source = Grid.from_spacing((10, 12, 4), (1.0, 1.0, 5.0))
    out = resample_image(array, source, source.resample((15, 12, 9)))
    expected = np.stack(
        [scipy_zoom(array[0, :, :, k], (15, 12), 3) for k in nearest(4, 9)], axis=-1
    )
    assert out[0] == pytest.approx(np.clip(expected, array.min(), array.max()), abs=1e-4)


def test_the_spline_does_not_leave_the_images_range():
    step = np.zeros((1, 12, 12, 12), np.float32)
    step[:, 6:] = 100
    grid = Grid.from_spacing((12, 12, 12))
    out = resample_image(step, grid, grid.resample((29, 12, 12)))
    assert out.min() >= 0
    assert out.max() <= 100


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 1.0, 4.0)])
def test_labels_equal_the_largest_of_the_classes_resampled_apart(spacing):
    field = smooth((16, 18, 14), seed=3)
    labels = np.digitize(field, np.quantile(field, [0.5, 0.7, 0.9])).astype(np.uint8)
    labels[labels == 2] = 7
    source = Grid.from_spacing(labels.shape, spacing)
    target = source.resample((23, 11, 20))
    ours = resample_label(labels, source, target)
    coarse = coarse_axis(source.spacing, target.spacing)
    orders = [0 if axis == coarse else 1 for axis in range(3)]
    classes = [0, 1, 3, 7]
    fields = [
        resample_channel((labels == c).astype(np.float64), target.shape, orders) for c in classes
    ]
    expected = np.array(classes)[np.argmax(fields, axis=0)]
    top = np.sort(fields, axis=0)
    clear = top[-1] - top[-2] > 1e-5
    assert np.array_equal(ours[clear], expected[clear])
    assert clear.mean() > 0.95


def test_label_resampling_there_and_back_keeps_the_volume():
    labels = np.zeros((30, 30, 30), np.uint8)
    labels[8:20, 10:22, 5:25] = 1
    labels[12:16, 12:16, 10:20] = 2
    grid = Grid.from_spacing(labels.shape)
    fine = grid.resample((45, 45, 45))
    back = resample_label(resample_label(labels, grid, fine), fine, grid)
    for label in (1, 2):
        overlap = 2 * ((back == label) & (labels == label)).sum()
        assert overlap / ((back == label).sum() + (labels == label).sum()) > 0.97


def test_pictures_resample_too():
    labels = (smooth((40, 30)) > 0).astype(np.uint8)
    grid = Grid.from_spacing((40, 30))
    out = resample_label(labels, grid, grid.resample((20, 45)))
    expected = scipy_zoom(labels.astype(np.float64), (20, 45), 1)
    clear = np.abs(expected - 0.5) > 1e-6
    assert np.array_equal(out[clear], (expected > 0.5)[clear])


def test_a_label_may_shrink_to_nothing():
    label = np.zeros((16, 16, 16), np.uint8)
    label[2, 2, 2] = 1
    grid = Grid.from_spacing(label.shape, (1.0, 1.0, 1.0))
    small = resample_label(label, grid, grid.resample((1, 1, 1)))
    assert small.shape == (1, 1, 1) and not small.any()
