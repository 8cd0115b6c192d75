"""Convolution, instance norm, leaky ReLU: nnU-Net's unit, and stacks of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

NEGATIVE_SLOPE = 0.01

_CONV: dict[int, Callable[..., nn.Conv2d | nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
_NORM: dict[int, Callable[..., nn.InstanceNorm2d | nn.InstanceNorm3d]] = {
    2: nn.InstanceNorm2d,
    3: nn.InstanceNorm3d,
}


def convolution(
    in_channels: int,
    out_channels: int,
    *,
    kernel: Sequence[int],
    stride: Sequence[int] | int = 1,
    dilation: int = 1,
    bias: bool = True,
    padded: bool = True,
) -> nn.Conv2d | nn.Conv3d:
    """Make a convolution; ``kernel`` has one odd number per axis and decides 2D or 3D.

    Padded and at stride 1 it keeps the size of its input, whatever the dilation.
    """
    return _CONV[len(kernel)](
        in_channels,
        out_channels,
        tuple(kernel),
        stride=stride if isinstance(stride, int) else tuple(stride),
        padding=tuple(dilation * (n // 2) if padded else 0 for n in kernel),
        dilation=dilation,
        bias=bias,
    )


def norm(channels: int, spatial_dims: int) -> nn.InstanceNorm2d | nn.InstanceNorm3d:
    """Make an instance norm with learnt scale and shift (Ulyanov et al., arXiv 1607.08022)."""
    return _NORM[spatial_dims](channels, affine=True)


def activation() -> nn.LeakyReLU:
    """Make the leaky ReLU that follows every norm; in place, as a norm never needs its output."""
    return nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True)


class ConvNormAct(nn.Sequential):
    """Convolution, instance norm, leaky ReLU.

    ``(B, in_channels, *S)`` -> ``(B, out_channels, *S / stride)``. Isensee et al., nnU-Net, Nature
    Methods 2021, doi 10.1038/s41592-020-01008-z.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: Sequence[int],
        stride: Sequence[int] | int = 1,
        dilation: int = 1,
        bias: bool = True,
        padded: bool = True,
    ) -> None:
        super().__init__(
            convolution(
                in_channels,
                out_channels,
                kernel=kernel,
                stride=stride,
                dilation=dilation,
                bias=bias,
                padded=padded,
            ),
            norm(out_channels, len(kernel)),
            activation(),
        )


class ConvStack(nn.Sequential):
    """``count`` units of `ConvNormAct`; the first one changes channels and resolution."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        count: int,
        kernel: Sequence[int],
        stride: Sequence[int] | int = 1,
        bias: bool = True,
    ) -> None:
        units = [
            ConvNormAct(in_channels, out_channels, kernel=kernel, stride=stride, bias=bias),
            *(
                ConvNormAct(out_channels, out_channels, kernel=kernel, bias=bias)
                for _ in range(count - 1)
            ),
        ]
        super().__init__(*units)
