from __future__ import annotations

import math

import pytest
import torch

from medseg.detection.box_coder import LARGEST, decode, encode


def random_boxes(count, ndim, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lower = torch.rand(count, ndim, generator=generator) * 30
    return torch.cat([lower, lower + 1 + 20 * torch.rand(count, ndim, generator=generator)], 1)


@pytest.mark.parametrize("ndim", [2, 3])
def test_decoding_undoes_encoding(ndim):
    boxes, anchors = random_boxes(200, ndim), random_boxes(200, ndim, 1)
    assert torch.allclose(decode(encode(boxes, anchors), anchors), boxes, atol=1e-4)


def test_values_with_a_closed_form():
    anchor = torch.tensor([[0.0, 0, 4, 8]])
    box = torch.tensor([[1.0, 2, 9, 6]])  # centre (5, 4), size (8, 4)
    expected = torch.tensor([[3 / 4, 0.0, math.log(2), math.log(0.5)]])
    assert torch.allclose(encode(box, anchor), expected)
    assert torch.equal(decode(torch.zeros(1, 4), anchor), anchor)


@pytest.mark.parametrize("ndim", [2, 3])
def test_monai_codes_the_same(ndim):
    theirs = pytest.importorskip("monai.apps.detection.utils.box_coder")
    coder = theirs.BoxCoder([1.0] * (2 * ndim))
    boxes, anchors = random_boxes(100, ndim), random_boxes(100, ndim, 1)
    assert torch.allclose(encode(boxes, anchors), coder.encode_single(boxes, anchors), atol=1e-6)
    deltas = torch.randn(100, 2 * ndim, generator=torch.Generator().manual_seed(2)) * 3
    assert torch.allclose(
        decode(deltas, anchors), coder.decode_single(deltas, anchors), rtol=1e-4, atol=1e-3
    )


def test_a_wild_logarithm_is_cut_off():
    anchor = torch.tensor([[0.0, 0, 16, 16]])
    wild = decode(torch.tensor([[0.0, 0, 50, LARGEST]]), anchor)
    assert torch.allclose(wild[:, 2:] - wild[:, :2], torch.full((1, 2), 1000.0))


def test_no_boxes_are_no_deltas():
    none = torch.zeros(0, 6)
    assert encode(none, none).shape == decode(none, none).shape == (0, 6)
