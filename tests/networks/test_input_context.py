from __future__ import annotations

import pytest
import torch
from torch import nn

from medseg.errors import InputError
from medseg.networks.input_context import context_of, with_context, without_context
from medseg.networks.probe import probe
from medseg.training.averaging import averaged_copy


class Middle(nn.Module):
    """A convolution without padding, twice: it reads two voxels around what it segments."""

    input_context = (2, 2)

    def __init__(self):
        super().__init__()
        self.convs = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 3, 3))

    def forward(self, x):
        return self.convs(x)


def test_zeros_surround_an_image_and_are_taken_off_again():
    x = torch.randn(2, 3, 4, 5, 6)
    wide = with_context(x, (1, 0, 2))
    assert wide.shape == (2, 3, 6, 5, 10)
    assert wide.sum() == pytest.approx(x.sum().item(), rel=1e-5)
    assert torch.equal(without_context(wide, (1, 0, 2)), x)
    assert with_context(x, (0, 0, 0)) is x
    assert torch.equal(without_context(x, (0, 0, 0)), x)


def test_a_network_says_its_context_also_from_within_a_wrapper():
    assert context_of(Middle(), spatial_dims=2) == (2, 2)
    assert context_of(averaged_copy(Middle(), 0.9), spatial_dims=2) == (2, 2)
    assert context_of(nn.Conv2d(1, 1, 3), spatial_dims=2) == (0, 0)
    assert context_of(torch.sin, spatial_dims=3) == (0, 0, 0)


def test_the_probe_hands_a_network_its_context():
    probe(Middle(), in_channels=1, num_classes=3, size=(8, 8))
    wrong = Middle()
    wrong.input_context = (1, 1)
    with pytest.raises(InputError, match="one logit per class"):
        probe(wrong, in_channels=1, num_classes=3, size=(8, 8))
