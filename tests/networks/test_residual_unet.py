from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional as F

from medseg.errors import InputError
from medseg.networks import ResidualUNet
from medseg.networks.blocks.residual import ResidualBlock


def build(**options):
    options = {"features": (4, 6, 8), **options}
    return ResidualUNet(spatial_dims=2, in_channels=1, num_classes=2, **options)


def blocks(network):
    stages = [network.encoder[0][1], *network.encoder[1:]]
    return [len(stage) for stage in stages]


def test_the_published_numbers_of_blocks_are_the_default():
    assert blocks(build(features=(2,) * 6)) == [1, 3, 4, 6, 6, 6]
    assert blocks(build(features=(2, 2, 2))) == [1, 3, 4]
    assert [len(stage.convs) for stage in build().decoder] == [1, 1]


def test_blocks_per_stage_can_be_chosen():
    assert blocks(build(blocks_per_stage=(1, 2, 2))) == [1, 2, 2]
    assert blocks(build(blocks_per_stage=2)) == [2, 2, 2]
    with pytest.raises(InputError, match=r"blocks_per_stage.*\n.*3 numbers"):
        build(blocks_per_stage=(1, 2))


def test_the_small_residual_unet_has_1_3_million_parameters():
    # stem, four stages of one block with projected shortcuts, three light decoder stages
    network = ResidualUNet(
        spatial_dims=3,
        in_channels=1,
        num_classes=3,
        features=(16, 32, 64, 128),
        blocks_per_stage=1,
    )

    def unit(c, k):
        return (27 * c + 1) * k + 2 * k

    f = [16, 32, 64, 128]
    count = unit(1, 16) + 2 * unit(16, 16)
    for c, k in itertools.pairwise(f):
        count += unit(c, k) + unit(k, k) + c * k + 2 * k  # shortcut: 1x1 without bias, norm
        count += (8 * k + 1) * c + unit(2 * c, c)  # its decoder stage
    count += (16 + 1) * 3
    assert sum(p.numel() for p in network.parameters()) == count == 1_274_675


def test_a_fresh_block_is_its_activated_shortcut():
    network = build(blocks_per_stage=2)
    block = network.encoder[1][0]
    x = torch.randn(1, 4, 8, 8)
    pool, project, norm = block.shortcut
    by_hand = F.conv2d(F.avg_pool2d(x, 2), project.weight)
    by_hand = (by_hand - by_hand.mean((2, 3), keepdim=True)) / torch.sqrt(
        by_hand.var((2, 3), keepdim=True, unbiased=False) + norm.eps
    )
    assert pool.kernel_size == (2, 2)
    assert torch.allclose(block(x), F.leaky_relu(by_hand, 0.01), atol=1e-5)
    same = network.encoder[1][1]
    y = torch.rand(1, 6, 4, 4)
    assert torch.equal(same(y), y)


def test_the_shortcut_pools_only_the_axes_that_are_strided():
    block = ResidualBlock(3, 3, kernel=(1, 3, 3), stride=(1, 2, 2))
    assert len(block.shortcut) == 1
    x = torch.randn(1, 3, 2, 4, 4)
    assert torch.equal(block.shortcut(x), F.avg_pool3d(x, (1, 2, 2)))
    assert block(x).shape == (1, 3, 2, 2, 2)
