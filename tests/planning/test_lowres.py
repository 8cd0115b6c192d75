from math import prod

import pytest

from medseg.planning.lowres import coarser, low_resolution
from medseg.planning.network import NetworkPlan


def fixed(patch):
    return lambda spacing, shape, voxels: NetworkPlan(patch, 2, (), (), ())


def test_fine_axes_grow_first():
    assert coarser((5.0, 1.0, 3.0)) == pytest.approx((5.0, 1.03, 3.0))
    assert coarser((5.0, 2.5, 3.0)) == pytest.approx((5.15, 2.575, 3.09))


def test_the_spacing_grows_until_a_patch_covers_a_quarter():
    found = low_resolution((64,) * 3, (1.0,) * 3, (256,) * 3, fixed((64,) * 3))
    # 256 / s voxels an axis: a quarter is covered from s = 4 / 4^(1/3) on.
    enough = 4 / 4 ** (1 / 3)
    assert enough <= found.spacing[0] < enough * 1.03
    assert 0.25 <= found.covered < 0.25 * 1.03**3
    assert found.median_shape == (round(256 / found.spacing[0]),) * 3
    assert found.case_voxels == pytest.approx(prod(256 / s for s in found.spacing))


def test_patches_that_cover_a_quarter_need_no_stage():
    assert low_resolution((64, 64, 32), (1.0,) * 3, (64, 64, 128), fixed((64,) * 3)) is None


def test_a_stage_that_saves_too_little_is_dropped():
    # Found at 1.03^n with a patch that covers 24 %: far from half the voxels.
    patch = (62,) * 3
    assert low_resolution(patch, (1.0,) * 3, (100,) * 3, fixed(patch)) is None
