from __future__ import annotations

import pytest
import torch
from torch import nn

from medseg.errors import InputError
from medseg.networks import HighResNet


def network_as_published(dims=3, num_classes=160):
    with torch.device("meta"):
        return HighResNet(spatial_dims=dims, in_channels=1, num_classes=num_classes)


def test_parameters_are_the_published_ones():
    count = sum(p.numel() for p in network_as_published().parameters())
    kernels = 16 + 6 * 16**2 + (16 * 32 + 5 * 32**2) + (32 * 64 + 5 * 64**2)
    # scale and shift: behind the first convolution, and before each of a block's two
    norms = 2 * (16 + 6 * 16 + (16 + 5 * 32) + (32 + 5 * 64))
    assert count == 27 * kernels + norms + (64 + 1) * 160
    assert round(count / 1e6, 2) == 0.81  # Li et al., HC-default, 160 classes of brain parcels


@pytest.mark.parametrize("dims", [2, 3])
def test_it_has_twenty_layers(dims):
    modules = network_as_published(dims).modules()
    assert sum(isinstance(m, (nn.Conv2d, nn.Conv3d)) for m in modules) == 20


@pytest.mark.parametrize("dims", [2, 3])
def test_its_receptive_field_is_the_published_87_voxels(dims):
    network = HighResNet(spatial_dims=dims, in_channels=1, num_classes=1)
    # Norms would couple all voxels: without them, and with equal weights, only reach is left.
    network.stem[1] = nn.Identity()
    for block in network.blocks:
        block.branch[0] = block.branch[3] = nn.Identity()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 1e-3)
    x = torch.ones(1, 1, 101, *[3] * (dims - 1), requires_grad=True)
    network(x)[(0, 0, 50, *[1] * (dims - 1))].backward()
    seen = x.grad[(0, 0, slice(None), *[1] * (dims - 1))].nonzero()
    assert (int(seen.min()), int(seen.max())) == (50 - 43, 50 + 43)
    assert 1 + 2 * (1 + 6 * 1 + 6 * 2 + 6 * 4) == 87  # 1 + sum of (F - 1) D, all strides 1


def test_features_stay_at_full_resolution():
    network = HighResNet(spatial_dims=3, in_channels=1, num_classes=2, features=(2, 4, 6))
    sizes = []
    for block in network.blocks:
        block.register_forward_hook(lambda *args: sizes.append(tuple(args[-1].shape[1:])))
    network(torch.randn(1, 1, 5, 6, 7))
    assert sizes == [(c, 5, 6, 7) for c in (2, 2, 2, 4, 4, 4, 6, 6, 6)]


def test_logits_may_be_negative():
    torch.manual_seed(0)
    network = HighResNet(spatial_dims=2, in_channels=1, num_classes=2)
    assert (network(torch.randn(1, 1, 16, 16)) < 0).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": (32, 16, 64)}, "must not fall"),
        ({"features": ()}, "must be positive"),
        ({"dilations": (1, 2)}, "3 numbers"),
        ({"dilations": (0, 1, 2)}, "positive number"),
        ({"blocks_per_group": 0}, "blocks_per_group"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        HighResNet(spatial_dims=2, in_channels=1, num_classes=2, **arguments)
