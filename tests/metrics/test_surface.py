import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from medseg.errors import InputError
from medseg.metrics import hausdorff95
from medseg.metrics.surface import surface_distances, surface_points

SPACING = (0.7, 1.3, 2.5)


def blob(shape, centre, radius, spacing=SPACING):
    axes = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    square = sum(((x - c) * s) ** 2 for x, c, s in zip(axes, centre, spacing, strict=True))
    return square <= radius**2


@pytest.fixture(scope="module")
def pair():
    shape = (20, 18, 12)
    target = blob(shape, (9, 8, 6), 6)
    pred = blob(shape, (11, 9, 5), 5) | blob(shape, (3, 3, 2), 2)
    return pred, target


def brute_force(pred, target, spacing):
    """All pairs of border voxels; a border voxel has a neighbour outside, by shifting."""

    def border(mask):
        padded = np.pad(mask, 1)
        inner = np.ones_like(mask)
        for axis in range(mask.ndim):
            for shift in (-1, 1):
                rolled = np.roll(padded, shift, axis)
                inner &= rolled[(slice(1, -1),) * mask.ndim]
        return np.argwhere(mask & ~inner) * np.array(spacing)

    distances = cdist(border(pred), border(target))
    return max(np.percentile(distances.min(axis), 95) for axis in (0, 1))


def test_equals_brute_force(pair):
    assert hausdorff95(*pair, SPACING) == pytest.approx(brute_force(*pair, SPACING))


def test_equals_brute_force_where_masks_touch_the_edge():
    rng = np.random.default_rng(0)
    pred, target = rng.random((2, 6, 5, 7)) > 0.5
    expected = brute_force(pred, target, SPACING)
    assert hausdorff95(pred, target, SPACING) == pytest.approx(expected)


def test_equals_monai(pair):
    import torch
    from monai.metrics import compute_hausdorff_distance

    pred, target = (torch.tensor(mask)[None, None].float() for mask in pair)
    expected = compute_hausdorff_distance(
        pred, target, include_background=True, percentile=95, spacing=list(SPACING)
    )
    assert hausdorff95(*pair, SPACING) == pytest.approx(expected.item(), abs=1e-4)


def test_two_voxels_are_as_far_apart_as_their_centres():
    pred, target = np.zeros((2, 4, 5, 6), dtype=bool)
    pred[0, 0, 0] = target[3, 4, 5] = True
    expected = math.hypot(3 * 0.7, 4 * 1.3, 5 * 2.5)
    assert hausdorff95(pred, target, SPACING) == pytest.approx(expected)


def test_shifted_cube_is_off_by_the_shift_in_mm():
    pred, target = np.zeros((2, 20, 20, 20), dtype=bool)
    target[5:10, 5:10, 5:10] = True
    pred[5:10, 5:10, 8:13] = True
    assert hausdorff95(pred, target, (1.0, 1.0, 2.0)) == pytest.approx(6.0)


def test_works_in_two_dimensions_with_one_spacing():
    pred, target = np.zeros((2, 9, 9), dtype=bool)
    pred[2, 2] = target[2, 7] = True
    assert hausdorff95(pred, target, 0.5) == 2.5


def test_is_symmetric_and_zero_for_equal_masks(pair):
    pred, target = pair
    assert hausdorff95(pred, target, SPACING) == hausdorff95(target, pred, SPACING)
    assert hausdorff95(pred, pred, SPACING) == 0.0


def test_is_below_the_full_hausdorff_distance(pair):
    longest = max(distances.max() for distances in surface_distances(*pair, SPACING))
    assert hausdorff95(*pair, SPACING) < longest


def test_surface_of_a_cube_is_its_shell():
    mask = np.zeros((9, 9, 9), dtype=np.uint8)
    mask[2:7, 2:7, 2:7] = 1
    points = surface_points(mask, 1.0)
    assert len(points) == 5**3 - 3**3
    assert points.min() == 2
    assert points.max() == 6


class TestEmptyMasks:
    empty = np.zeros((5, 5, 5), dtype=bool)
    full = np.ones((5, 5, 5), dtype=bool)

    def test_both_empty_is_nan_by_default(self):
        assert math.isnan(hausdorff95(self.empty, self.empty, 1.0))

    def test_both_empty_is_zero_where_that_counts_as_right(self):
        assert hausdorff95(self.empty, self.empty, 1.0, empty="one") == 0.0

    @pytest.mark.parametrize("policy", ["skip", "one"])
    def test_one_empty_is_infinite(self, policy):
        assert hausdorff95(self.full, self.empty, 1.0, empty=policy) == math.inf
        assert hausdorff95(self.empty, self.full, 1.0, empty=policy) == math.inf

    def test_one_empty_gives_the_penalty_that_was_asked_for(self):
        assert hausdorff95(self.full, self.empty, 1.0, missing=374.0) == 374.0


def test_different_shapes_are_refused():
    with pytest.raises(InputError, match="differ in shape"):
        hausdorff95(np.ones((2, 2)), np.ones((2, 3)), 1.0)
