from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from medseg.data.feed.augment import Affine
from medseg.inference.views import ANGLE, ZOOMS, average_views, small_affine

GRIDS = [((25, 31), (1.0, 1.0)), ((20, 26, 22), (1.0, 1.0, 1.0)), ((24, 20, 9), (0.7, 0.7, 4.0))]


def ramp(shape) -> torch.Tensor:
    """An image that linear interpolation reads exactly."""
    slopes = np.array([0.3, -0.2, 0.5])[: len(shape)]
    values = 4 + np.tensordot(slopes, np.indices(shape), axes=1)
    return torch.from_numpy(values.astype(np.float32))[None, None]


def by_scipy(run, image: np.ndarray, maps, spacing) -> np.ndarray:
    """Average views as the docstring says, with SciPy's interpolation and float64."""
    mm, centre = np.diag(spacing), (np.array(image.shape) - 1) / 2

    def read(array, linear):
        voxels = np.linalg.inv(mm) @ linear @ mm
        offset = centre - voxels @ centre
        return ndimage.affine_transform(array, voxels, offset, order=1, mode="grid-constant")

    total, count = run(image), np.ones(image.shape)
    for forward in maps:
        inverse = np.linalg.inv(forward)
        filled = read(np.ones(image.shape), inverse) > 0.998
        shown = read(filled.astype(float), forward) > 0.998
        total = total + shown * read(run(read(image, inverse)), forward)
        count += shown
    return total / count


@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
def test_views_are_brought_back_to_where_they_came_from(shape, spacing):
    image = ramp(shape)
    maps = small_affine(spacing, shape)
    averaged = average_views(torch.clone, image, maps, spacing)
    # To the last voxel: what lies beyond the image takes no part.
    assert torch.allclose(averaged, image, atol=2e-2)
    assert not torch.equal(averaged, image)


@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
def test_the_average_is_scipys(shape, spacing):
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.normal(size=shape), 1.5).astype(np.float32)
    maps = small_affine(spacing, shape)

    def run(array):
        return array * 3 + array**2 - 0.1

    expected = by_scipy(run, image.astype(float), maps, spacing)
    ours = average_views(run, torch.from_numpy(image)[None, None], maps, spacing)[0, 0].numpy()
    # Where a weight is just at its threshold, one of the two may count a view more.
    close = np.isclose(ours, expected, atol=2e-3)
    assert close.mean() > 0.999


@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
def test_every_output_and_channel_is_averaged(shape, spacing):
    image = torch.randn(1, 2, *shape)
    maps = small_affine(spacing, shape)

    def run(x):
        return torch.cat([x, x[:, :1] * x[:, 1:]], dim=1)

    both = average_views(run, image, maps, spacing)
    assert both.shape == (1, 3, *shape)
    for channel in range(2):
        alone = average_views(torch.clone, image[:, channel : channel + 1], maps, spacing)
        assert torch.allclose(both[:, channel], alone[:, 0], atol=1e-4)


@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
def test_padding_is_no_part_of_the_mean(shape, spacing):
    maps = small_affine(spacing, shape)
    seen = []

    def run(x):
        seen.append(x.clone())
        return torch.where(x > 0.99, 1.0, -10.0)  # what padding touches is badly wrong

    averaged = average_views(run, torch.ones(1, 1, *shape), maps, spacing)
    assert any((x < 0.5).any() for x in seen[1:])
    assert torch.allclose(averaged, torch.ones_like(averaged), atol=0.03)


def test_rotations_are_rigid_and_zooms_scale_in_mm():
    for spacing, shape in (((1.0, 1.0, 1.2), (32, 32, 32)), ((0.5, 0.8), (64, 64))):
        *turns, smaller, larger = small_affine(spacing, shape)
        for turn in turns:
            assert np.allclose(turn @ turn.T, np.eye(len(spacing)))
            assert np.degrees(np.arccos(turn[0, 0])) == pytest.approx(ANGLE)
        assert np.allclose(turns[0] @ turns[1], np.eye(len(spacing)))
        assert np.allclose(smaller, ZOOMS[0] * np.eye(len(spacing)))
        assert np.allclose(larger, ZOOMS[1] * np.eye(len(spacing)))


@pytest.mark.parametrize(
    ("spacing", "patch", "thick"),
    [
        ((0.7, 0.7, 5.0), (64, 64, 16), 2),
        ((4.0, 1.0, 1.0), (16, 64, 64), 0),
        ((1.0, 1.0, 1.0), (1, 64, 64), 0),  # slice by slice
    ],
)
def test_thick_slices_are_not_mixed(spacing, patch, thick):
    for forward in small_affine(spacing, patch):
        axis = np.eye(3)[thick]
        assert np.array_equal(forward[thick], axis) and np.array_equal(forward[:, thick], axis)
    shape = [12, 12, 12]
    levels = torch.arange(12.0).view([-1 if a == thick else 1 for a in range(3)])
    image = levels.expand(*shape)[None, None]
    maps = small_affine(spacing, patch)
    assert torch.allclose(average_views(torch.clone, image, maps, spacing), image, atol=5e-3)


def test_volumes_turn_about_their_coarsest_axis():
    for spacing, axis in (((1.0, 1.0, 1.0), 2), ((1.5, 1.0, 1.0), 0), ((1.0, 1.3, 1.3), 2)):
        turn = small_affine(spacing, (32, 32, 32))[0]
        assert turn[axis, axis] == 1


def test_without_maps_one_look_is_taken():
    image = torch.randn(1, 1, 5, 6)
    assert average_views(lambda x: x, image, (), (1.0, 1.0)) is image


def test_a_training_goes_on_after_a_prediction_with_views():
    shape, spacing = (12, 14, 16), (1.0, 1.0, 1.0)
    with torch.inference_mode():
        image = torch.randn(1, 1, *shape)
        average_views(torch.clone, image, small_affine(spacing, shape), spacing)
    turn = Affine(rotation=20, p_rotation=1.0)
    params = turn.make_params([1], (1, *shape))
    first = torch.randn(1, 1, *shape)
    turned, _ = turn.apply(first, None, params)
    assert turned.shape == first.shape and not torch.equal(turned, first)


@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
def test_each_image_of_a_batch_is_averaged_as_alone(shape, spacing):
    images = torch.cat([ramp(shape), 10 - ramp(shape), ramp(shape) ** 2])
    maps = small_affine(spacing, shape)
    together = average_views(lambda image: image.cos(), images, maps, spacing)
    alone = [average_views(lambda image: image.cos(), one[None], maps, spacing) for one in images]
    assert torch.allclose(together, torch.cat(alone), atol=1e-6)
