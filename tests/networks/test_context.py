from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from medseg.errors import InputError
from medseg.networks import DilatedUNet, UNet
from medseg.networks.blocks.context import MultiRateContext


@pytest.mark.parametrize("rate", [1, 2, 4])
def test_each_branch_is_a_convolution_with_holes_as_scipy_computes_it(rate):
    block = MultiRateContext(1, kernel=(3, 3), rates=(1, 2, 4))
    conv = block.branches[[1, 2, 4].index(rate)][0]
    x = np.random.default_rng(0).normal(size=(12, 10))
    weight = conv.weight.detach().numpy()[0, 0]
    holes = np.zeros((2 * rate + 1, 2 * rate + 1))
    holes[::rate, ::rate] = weight
    expected = ndimage.correlate(x, holes, mode="constant") + conv.bias.item()
    found = conv(torch.from_numpy(x).float()[None, None])[0, 0].detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_context_is_added_to_what_was_there():
    block = MultiRateContext(8, kernel=(3, 3, 3), rates=(1, 2))
    x = torch.randn(1, 8, 4, 4, 4)
    assert block(x).shape == x.shape
    torch.nn.init.zeros_(block.fusion[1].weight)
    assert torch.equal(block(x), x)


def test_more_rates_than_channels_still_give_a_channel_each():
    block = MultiRateContext(2, kernel=(3, 3), rates=(1, 2, 4))
    assert block(torch.randn(1, 2, 6, 6)).shape == (1, 2, 6, 6)


@pytest.mark.parametrize("rates", [(), (0, 1)])
def test_rates_must_be_positive(rates):
    with pytest.raises(InputError, match="rates"):
        MultiRateContext(4, kernel=(3, 3), rates=rates)


def test_the_dilated_unet_sees_further_than_the_plain_one():
    options = {
        "spatial_dims": 2,
        "in_channels": 1,
        "num_classes": 1,
        "features": (4, 8),
        "convs_per_stage": 1,
        "decoder_convs_per_stage": 1,
    }

    def reach(network):
        # Norms would couple all voxels: replace them, so that only convolutions carry the signal.
        for module in list(network.modules()):
            for name, child in module.named_children():
                if isinstance(child, torch.nn.InstanceNorm2d):
                    setattr(module, name, torch.nn.Identity())
        x = torch.randn(1, 1, 64, 8, requires_grad=True)
        network(x)[0, 0, 32, 4].backward()
        rows = x.grad[0, 0].abs().sum(1).nonzero()
        return int(rows.max() - rows.min())

    plain, dilated = reach(UNet(**options)), reach(DilatedUNet(**options, rates=(1, 8)))
    assert plain < 16
    assert dilated >= 2 * 2 * 8  # rate 8 at stride 2, both sides
