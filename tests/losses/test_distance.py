import numpy as np
import pytest
import torch

from medseg.errors import InputError
from medseg.losses import signed_distance


def brute_force(inside, known, spacing):
    """Measure from every voxel to every other one."""
    points = np.argwhere(np.ones_like(inside)) * np.asarray(spacing)
    flat, usable = inside.ravel(), known.ravel()
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    to_inside = apart[:, flat & usable].min(1)
    to_outside = apart[:, ~flat & usable].min(1)
    return np.where(flat, -to_outside, to_inside).reshape(inside.shape)


@pytest.mark.parametrize("shape", [(7, 6), (4, 5, 6)])
@pytest.mark.parametrize("part", [0.1, 0.5])
@pytest.mark.parametrize("hidden", [0.0, 0.4])
def test_equals_measuring_from_voxel_to_voxel(shape, part, hidden):
    rng = np.random.default_rng(0)
    inside, known = rng.random(shape) < part, rng.random(shape) >= hidden
    spacing = (1.0, 2.5, 1.5)[: len(shape)]
    found = signed_distance(
        torch.from_numpy(inside)[None, None],
        valid=torch.from_numpy(known)[None, None],
        spacing=spacing,
    )[0, 0].numpy()
    expected = brute_force(inside, known, spacing)
    np.testing.assert_allclose(found[known], expected[known], rtol=1e-6)


def test_either_side_of_a_boundary_is_one_voxel_from_it():
    line = torch.tensor([0, 0, 1, 1, 1, 0], dtype=torch.bool).view(1, 1, 1, 6)
    assert signed_distance(line)[0, 0, 0].tolist() == [2, 1, -1, -2, -1, 1]


def test_an_unknown_voxel_is_no_boundary():
    line = torch.tensor([0, 0, 1, 1, 1, 0], dtype=torch.bool).view(1, 1, 1, 6)
    valid = torch.tensor([1, 1, 1, 1, 1, 0], dtype=torch.bool).view(1, 1, 1, 6)
    assert signed_distance(line, valid=valid)[0, 0, 0, :5].tolist() == [2, 1, -1, -2, -3]


@pytest.mark.parametrize("value", [False, True])
def test_a_mask_without_boundary_is_zero(value):
    assert signed_distance(torch.full((1, 2, 3, 4), value)).eq(0).all()


def test_the_unit_of_the_spacing_makes_no_difference():
    masks = torch.rand(1, 1, 6, 7) > 0.5
    millimetres, metres = (signed_distance(masks, spacing=s) for s in ((1, 3), (0.001, 0.003)))
    torch.testing.assert_close(millimetres, metres)


@pytest.mark.parametrize("spacing", [(1.0,), (1.0, 1.0, 1.0), (1.0, 0.0)])
def test_an_impossible_spacing_is_refused(spacing):
    with pytest.raises(InputError, match="spacing"):
        signed_distance(torch.ones(1, 1, 4, 4, dtype=torch.bool), spacing=spacing)
