from __future__ import annotations

import pytest
import torch

from medseg.networks.blocks.preactivated import PreactivatedBlock


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("channels", [(4, 4), (4, 7)])
def test_it_is_monais_high_resolution_block_with_instance_norm(dims, channels):
    from monai.networks.nets.highresnet import HighResBlock

    torch.manual_seed(0)
    reference = HighResBlock(dims, *channels, dilation=2, norm_type=("instance", {"affine": True}))
    block = PreactivatedBlock(*channels, kernel=(3,) * dims, dilation=2)
    for ours, theirs in zip(block.parameters(), reference.parameters(), strict=True):
        assert ours.shape == theirs.shape
        torch.nn.init.normal_(theirs)
        ours.data.copy_(theirs)
    x = torch.randn(2, channels[0], *[6] * dims)
    assert torch.allclose(block(x), reference(x), atol=1e-5)


def test_channels_that_the_shortcut_lacks_are_zeros_on_both_sides():
    block = PreactivatedBlock(2, 5, kernel=(3, 3))
    torch.nn.init.zeros_(block.branch[-1].weight)
    x = torch.randn(1, 2, 4, 4)
    out = block(x)
    assert torch.equal(out[:, 1:3], x)
    assert not out[:, [0, 3, 4]].any()
