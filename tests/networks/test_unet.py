"""The plain U-Net against closed forms and against MONAI's DynUNet."""

from __future__ import annotations

import pytest
import torch

from medseg.networks import UNet


def convolution(size: int, channels: int, kernels: int) -> int:
    """The primer's count, (F·F·C + 1)·K; ``size`` is F·F in 2D and F·F·F in 3D."""
    return (size * channels + 1) * kernels


def closed_form(dims: int, channels: int, classes: int, features: list[int]) -> int:
    def unit(c: int, k: int) -> int:
        return convolution(3**dims, c, k) + 2 * k  # instance norm: scale and shift

    total, c = 0, channels
    for k in features:
        total += unit(c, k) + unit(k, k)
        c = k
    for k in reversed(features[:-1]):
        total += convolution(2**dims, c, k) + unit(2 * k, k) + unit(k, k)
        c = k
    return total + convolution(1, c, classes)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("features", [[8, 16], [4, 6, 9], [32, 64, 128, 256]])
def test_the_parameter_count_is_the_closed_form(dims, features):
    network = UNet(spatial_dims=dims, in_channels=4, num_classes=3, features=features)
    count = sum(p.numel() for p in network.parameters())
    assert count == closed_form(dims, 4, 3, features)


@pytest.mark.parametrize("dims", [2, 3])
def test_with_the_weights_of_dynunet_it_gives_the_logits_of_dynunet(dims):
    from monai.networks.nets import DynUNet

    features, strides = [4, 6, 8, 10], [1, 2, (1, *[2] * (dims - 1)), 2]
    torch.manual_seed(0)
    theirs = DynUNet(
        dims,
        2,
        3,
        kernel_size=[3] * 4,
        strides=strides,
        upsample_kernel_size=strides[1:],
        filters=features,
    )
    ours = UNet(
        spatial_dims=dims,
        in_channels=2,
        num_classes=3,
        features=features,
        strides=strides,
        conv_bias=False,
    )
    for parameter in theirs.parameters():  # norms start at one and zero: tell them apart
        torch.nn.init.normal_(parameter, std=0.3)
    encoder = [theirs.input_block, *theirs.downsamples, theirs.bottleneck]
    copied = 0
    for stage, block in zip(ours.encoder, encoder, strict=True):
        copied += copy_units(stage, block)
    for stage, block in zip(ours.decoder, list(theirs.upsamples)[::-1], strict=True):
        stage.enlarge.load_state_dict(block.transp_conv.conv.state_dict())
        copied += stage.enlarge.weight.numel() + copy_units(stage.convs, block.conv_block)
    ours.heads[0].load_state_dict(theirs.output_block.conv.conv.state_dict())
    copied += sum(p.numel() for p in ours.heads[0].parameters())
    assert copied == sum(p.numel() for p in ours.parameters())
    x = torch.randn(2, 2, *[16] * dims)
    assert torch.allclose(ours(x), theirs(x), atol=1e-4, rtol=1e-4)


def copy_units(stack, block) -> int:
    pairs = [(stack[0], block.conv1, block.norm1), (stack[1], block.conv2, block.norm2)]
    for unit, conv, norm in pairs:
        unit[0].load_state_dict(conv.conv.state_dict())
        unit[1].load_state_dict(norm.state_dict())
    return sum(p.numel() for p in stack.parameters())


def test_convolutions_per_stage_are_counted_per_stage():
    network = UNet(
        spatial_dims=2,
        in_channels=1,
        num_classes=2,
        features=(2, 3, 4),
        convs_per_stage=(1, 2, 3),
        decoder_convs_per_stage=(3, 1),
    )
    assert [len(stage) for stage in network.encoder] == [1, 2, 3]
    assert [len(stage.convs) for stage in network.decoder] == [3, 1]
