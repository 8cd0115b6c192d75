from __future__ import annotations

import pytest
import torch

from medseg.errors import InputError
from medseg.networks.outputs import as_heads, finest

LOGITS_2D, LOGITS_3D = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8, 8)


def test_plain_logits_are_one_head():
    for logits in (LOGITS_2D, LOGITS_3D):
        assert as_heads(logits)[0] is logits
        assert finest(logits, spatial_dims=logits.ndim - 2) is logits


def test_lists_and_tuples_keep_their_order():
    coarse = torch.zeros(1, 3, 4, 4)
    assert as_heads((LOGITS_2D, coarse))[1] is coarse
    assert finest([LOGITS_2D, coarse]) is LOGITS_2D


def test_stacked_heads_are_taken_apart():
    stacked = torch.randn(2, 4, 3, 8, 8, 8)
    heads = as_heads(stacked)
    assert len(heads) == 4
    assert torch.equal(heads[1], stacked[:, 1])


def test_five_axes_are_stacked_2d_heads_only_where_2d_is_said():
    five = torch.randn(2, 4, 3, 8, 8)
    assert len(as_heads(five)) == 1
    assert [h.shape for h in as_heads(five, spatial_dims=2)] == [(2, 3, 8, 8)] * 4


@pytest.mark.parametrize(
    "output",
    [
        torch.zeros(2, 10),
        {"logits": LOGITS_2D},
        [],
        [LOGITS_2D, None],
        (LOGITS_2D, torch.tensor(0.0)),
        [LOGITS_2D, LOGITS_3D],
        None,
    ],
    ids=["scores", "mapping", "empty", "none-inside", "with-loss", "mixed", "none"],
)
def test_anything_else_is_refused(output):
    with pytest.raises(InputError, match="segmentation logits"):
        as_heads(output)


def test_logits_of_the_wrong_dimension_are_refused():
    with pytest.raises(InputError):
        as_heads(LOGITS_2D, spatial_dims=3)
