from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from medseg.data.feed import Batch
from medseg.data.feed.augment import Affine, Compose, Gamma, Mirror, QuarterTurn
from medseg.data.feed.augment.rearrange import rearrange
from medseg.data.feed.augment.spatial import warp_batch
from medseg.data.feed.augment.warp import Warp, fuse
from medseg.errors import InputError


def sample(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(shape, generator=generator)
    label = torch.randint(0, 4, (shape[0], 1, *shape[2:]), generator=generator, dtype=torch.uint8)
    return image, label


def reversal(axes, ndim=3):
    return np.eye(ndim, ndim + 1) * [[-1 if a in axes else 1] for a in range(ndim)]


def test_mirrors_are_exact_and_those_of_monai():
    from monai.transforms.spatial.array import Flip

    x, label = sample(3, 2, 5, 6, 7)
    out, out_label = Mirror().apply(x, label, [reversal((0, 2)), None, reversal((1,))])
    np.testing.assert_array_equal(out[0].numpy(), np.asarray(Flip((0, 2))(x[0])))
    np.testing.assert_array_equal(out_label[0].numpy(), np.asarray(Flip((0, 2))(label[0])))
    assert torch.equal(out[1], x[1])
    assert torch.equal(out_label[2], label[2].flip(2))


@pytest.mark.parametrize("shape", [(4, 4, 4), (90, 40, 40)])
def test_every_change_of_places_is_what_its_matrix_says(shape):
    x = torch.randn(2, *shape)
    centre = (np.array(shape).reshape(3, 1, 1, 1) - 1) / 2
    for order in itertools.permutations(range(3)) if len(set(shape)) == 1 else [(0, 1, 2)]:
        for signs in itertools.product((1, -1), repeat=3):
            matrix = np.zeros((3, 4))
            matrix[range(3), order] = signs
            assert Warp(matrix).exact
            where = np.einsum("ij,j...->i...", matrix[:, :3], np.indices(shape) - centre) + centre
            expected = x.numpy()[:, *where.astype(int)]
            out = torch.empty_like(x)
            rearrange(x, Warp(matrix), out)
            np.testing.assert_array_equal(out.numpy(), expected)


def test_nothing_else_counts_as_exact():
    shifted, scaled, sheared = (reversal((0,)) for _ in range(3))
    shifted[1, 3], scaled[1, 1], sheared[0, 1] = 1, 1.1, 1
    assert not any(Warp(matrix).exact for matrix in (shifted, scaled, sheared))


def test_mirror_draws_each_axis_evenly():
    draws = Mirror(axes=(0, 2)).make_params(range(1000), (1, 4, 4, 4))
    assert all(d is None or np.array_equal(np.abs(d), np.eye(3, 4)) for d in draws)
    signs = {(1, 1, 1) if d is None else tuple(np.diag(d).tolist()) for d in draws}
    assert signs == {(1, 1, 1), (-1, 1, 1), (1, 1, -1), (-1, 1, -1)}
    assert np.mean([d is not None and d[2, 2] < 0 for d in draws]) == pytest.approx(0.5, abs=0.05)


def test_mirror_axes_must_exist():
    with pytest.raises(InputError, match="axes do not fit"):
        Mirror(axes=(0, 2)).make_params([0], (1, 4, 4))


def test_quarter_turns_are_exact_and_only_in_square_planes():
    turn = QuarterTurn(p=1)
    x, label = sample(1, 2, 6, 6, 7)
    seen = set()
    for seed in range(20):
        params = turn.make_params([seed], (2, 6, 6, 7))
        out, out_label = turn.apply(x, label, params)
        (times,) = (k for k in (1, 2, 3) if torch.equal(out, x.rot90(k, (2, 3))))
        assert torch.equal(out_label, label.rot90(times, (2, 3)))
        seen.add(times)
    assert seen == {1, 2, 3}
    assert QuarterTurn(p=1, spacing=(1, 2, 1)).make_params([0], (2, 6, 6, 7)) == [None]
    assert QuarterTurn(p=1, axes=(0, 2)).make_params([0], (2, 6, 6, 7)) == [None]


@pytest.mark.parametrize("shape", [(12, 13, 14), (15, 16)])
def test_with_a_deformation_a_mirror_is_part_of_its_resampling(shape):
    x, label = sample(1, 2, *shape)
    (matrix,) = Affine(p_rotation=1, p_scale=1).make_params([3], (2, *shape))
    mirror = reversal((0, 1), len(shape))
    (warped, warped_label) = warp_batch(x, label, [fuse([matrix])])
    (both, both_label) = warp_batch(x, label, [fuse([matrix, mirror])])
    torch.testing.assert_close(both, warped.flip(2, 3), atol=1e-4, rtol=0)
    assert (both_label != warped_label.flip(2, 3)).float().mean() < 1e-3


def test_a_mirrored_scale_is_a_scale_that_is_mirrored():
    x, label = sample(1, 2, 12, 13, 14)
    (matrix,) = Affine(p_rotation=0, p_scale=1).make_params([3], (2, 12, 13, 14))
    scaled, scaled_label = warp_batch(x, label, [fuse([matrix])])
    both, both_label = warp_batch(x, label, [fuse([reversal((0, 2)), matrix])])
    torch.testing.assert_close(both, scaled.flip(2, 4), atol=1e-4, rtol=0)
    assert torch.equal(both_label, scaled_label.flip(2, 4))


def test_a_mirror_at_the_end_of_a_list_is_exact_and_at_its_head_too():
    x, label = sample(4, 1, 9, 10, 11)
    batch = Batch(x, label, torch.arange(4), ["a"] * 4)
    bent = Compose([Gamma(p=1)])(batch).image
    for transforms in ([Gamma(p=1), Mirror(p=1)], [Mirror(p=1), Gamma(p=1)]):
        out = Compose(transforms)(batch)
        torch.testing.assert_close(out.image, bent.flip(2, 3, 4), atol=1e-5, rtol=0)
        assert torch.equal(out.label, label.flip(2, 3, 4))
