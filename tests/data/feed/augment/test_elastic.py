from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.interpolate import BSpline

from medseg.data.feed.augment import Affine, Compose, Elastic
from medseg.data.feed.augment.resample import resample
from medseg.data.feed.augment.warp import Field, Warp, fuse, spline_matrix
from medseg.data.feed.batch import Wide
from medseg.errors import InputError


def smooth(shape, seed=0):
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, 1.5).astype(np.float32)


def displacement(field, shape):
    """Evaluate a field by SciPy's B-splines: an independent way to ``(ndim, *S)``."""
    moved = field.control
    for axis, n in enumerate(shape):
        count = moved.shape[axis + 1]
        if count == 1:
            moved = np.repeat(moved, n, axis + 1)
            continue
        # A cubic B-spline's basis function k is centred on knot k + 2.
        knots = (np.arange(count + 4) - 2 - (count - 1) / 2) * field.step[axis]
        spline = BSpline(knots, np.moveaxis(moved, axis + 1, 0), 3)
        moved = np.moveaxis(spline(np.arange(n) - (n - 1) / 2), 0, axis + 1)
    return moved


def drawn(shape, seed=0, **options):
    elastic = Elastic(**{"p": 1, "displacement": (2, 2), "control_spacing": 6, **options})
    return elastic, elastic.make_params([seed], (1, *shape))[0]


@pytest.mark.parametrize("shape", [(17, 12, 14), (21, 16)])
def test_it_samples_as_scipy_does_with_the_same_displacement(shape):
    elastic, field = drawn(shape)
    image = smooth(shape)
    label = np.digitize(smooth(shape, 1), [-0.02, 0.03]).astype(np.uint8)
    where = np.indices(shape) + displacement(field, shape)
    ours, ours_label = elastic.apply(
        torch.from_numpy(image)[None, None], torch.from_numpy(label)[None, None], [field]
    )
    limit = np.array(shape).reshape(-1, *[1] * len(shape)) - 1
    inside = np.all((where > 0) & (where < limit), axis=0)
    assert inside.mean() > 0.5
    expected = ndimage.map_coordinates(image, where, order=1)
    np.testing.assert_allclose(ours[0, 0].numpy()[inside], expected[inside], atol=2e-5)
    shares = np.stack(
        [ndimage.map_coordinates(1.0 * (label == c), where, order=1) for c in range(3)]
    )
    clear = inside & (np.diff(np.sort(shares, 0)[-2:], axis=0)[0] > 1e-4)
    np.testing.assert_array_equal(ours_label[0, 0].numpy()[clear], shares.argmax(0)[clear])


def test_beside_an_affine_it_is_one_resampling():
    shape = (15, 13, 14)
    elastic, affine = drawn(shape)[0], Affine(p_rotation=1, p_scale=1)
    image = torch.from_numpy(smooth(shape))[None, None]
    for order in ([elastic, affine], [affine, elastic]):
        compose = Compose(order)
        params = compose.make_params([3], (1, *shape))
        ours, _ = compose.apply(image, None, params)
        matrix, field = sorted(params[0], key=lambda part: isinstance(part, Field))
        centre = (np.array(shape) - 1).reshape(3, 1, 1, 1) / 2
        bent = np.indices(shape) - centre + displacement(field, shape)
        where = np.einsum("ij,j...->i...", matrix[:, :-1], bent) + centre
        where += matrix[:, -1].reshape(3, 1, 1, 1)
        inside = np.all((where > 0) & (where < 2 * centre), axis=0)
        expected = ndimage.map_coordinates(image[0, 0].numpy(), where, order=1)
        np.testing.assert_allclose(ours[0, 0].numpy()[inside], expected[inside], atol=2e-5)


def test_two_affines_in_a_row_are_one():
    first, second = (Affine(p_rotation=1, p_scale=1) for _ in range(2))
    image = torch.from_numpy(smooth((40, 40)))[None, None]
    a, b = first.make_params([1, 2], (1, 40, 40))
    ours = torch.empty(1, 40, 40)
    resample(Wide(image[0], None, (0, 0)), fuse([a, b]), ours, None)
    once, _ = first.apply(image, None, [a])
    twice, _ = second.apply(once, None, [b])
    middle = (slice(14, 26), slice(14, 26))
    # The second interpolation smooths a little more.
    assert (ours[0][middle] - twice[0, 0][middle]).abs().max() < 0.3 * image.std()


@pytest.mark.parametrize("spacing", [None, (1.0, 1.0, 3.0)])
def test_the_largest_shift_is_what_was_drawn_in_mm_and_nothing_folds(spacing):
    shape = (40, 36, 20)
    for seed in range(5):
        _, field = drawn(shape, seed, displacement=(5, 5), control_spacing=16, spacing=spacing)
        moved = displacement(field, shape)
        in_mm = moved * np.array(spacing or (1, 1, 1)).reshape(3, 1, 1, 1)
        assert 2 < np.abs(in_mm).max() < 7
        gradient = np.stack([np.stack(np.gradient(m)) for m in moved])
        jacobian = np.moveaxis(gradient, (0, 1), (-2, -1)) + np.eye(3)
        assert np.linalg.det(jacobian).min() > 0


def test_axes_left_out_stay_and_slices_are_deformed_alike():
    _, field = drawn((6, 20, 18), axes=(1, 2))
    moved = displacement(field, (6, 20, 18))
    assert not moved[0].any()
    np.testing.assert_allclose(moved[:, 0], moved[:, 5])


def test_spline_weights_sum_to_one_inside():
    np.testing.assert_allclose(spline_matrix(30, 8, 6.0).sum(1), 1, atol=1e-6)


def test_reach_bounds_what_is_read():
    shape = (20, 16, 18)
    compose = Compose(
        [Affine(p_rotation=1, p_scale=1, p_translation=1, translation=4), drawn(shape)[0]]
    )
    for seed in range(10):
        (params,) = compose.make_params([seed], (1, *shape))
        warp = fuse([part for part in params if part is not None])
        centre = (np.array(shape) - 1).reshape(3, 1, 1, 1) / 2
        bent = np.indices(shape) - centre + displacement(warp.field, shape)
        where = np.einsum("ij,j...->i...", warp.matrix[:, :-1], bent) + centre
        where += warp.matrix[:, -1].reshape(3, 1, 1, 1)
        for axis, (low, high) in enumerate(warp.reach(shape)):
            assert where[axis].min() >= -low - 1e-5
            assert where[axis].max() <= shape[axis] - 1 + high + 1e-5
    assert Warp(np.eye(4)[:3]).reach(shape) == [(0, 0)] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"displacement": (0, 9), "control_spacing": 20}, "fold"),
        ({"displacement": 3}, "displacement"),
        ({"p": 2}, "p must"),
        ({"spacing": (1, -1)}, "spacing"),
    ],
)
def test_impossible_arguments_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Elastic(**options)


def test_spacing_must_fit_the_image():
    with pytest.raises(InputError, match="do not fit"):
        Elastic(spacing=(1, 1)).make_params([0], (1, 8, 8, 8))
