"""The residual basic block of nnU-Net's residual encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from torch import Tensor, nn

from medseg.networks.blocks.convolution import ConvNormAct, activation, convolution, norm

_POOL: dict[int, Callable[..., nn.Module]] = {2: nn.AvgPool2d, 3: nn.AvgPool3d}


class ResidualBlock(nn.Module):
    """Two convolutions around which the input is added.

    ``(B, in_channels, *S)`` -> ``(B, out_channels, *S / stride)``. Where the resolution changes the
    shortcut is average-pooled, where the channels change it passes a 1x1 convolution (ResNet-D: He
    et al., Bag of Tricks, arXiv 1812.01187; residual blocks: He et al., arXiv 1512.03385).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: Sequence[int],
        stride: Sequence[int],
        bias: bool = True,
    ) -> None:
        super().__init__()
        spatial_dims = len(kernel)
        self.first = ConvNormAct(in_channels, out_channels, kernel=kernel, stride=stride, bias=bias)
        self.second = convolution(out_channels, out_channels, kernel=kernel, bias=bias)
        self.norm = norm(out_channels, spatial_dims)
        self.activation = activation()
        shortcut: list[nn.Module] = []
        if prod(stride) > 1:
            shortcut.append(_POOL[spatial_dims](tuple(stride), tuple(stride)))
        if in_channels != out_channels:
            shortcut.append(
                convolution(in_channels, out_channels, kernel=(1,) * spatial_dims, bias=False)
            )
            shortcut.append(norm(out_channels, spatial_dims))
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated sum of the shortcut and the two convolutions."""
        out = self.norm(self.second(self.first(x)))
        return self.activation(out + self.shortcut(x))


class ResidualStack(nn.Sequential):
    """``count`` blocks of `ResidualBlock`; the first one changes channels and resolution."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        count: int,
        kernel: Sequence[int],
        stride: Sequence[int],
        bias: bool = True,
    ) -> None:
        same = (1,) * len(kernel)
        blocks = [
            ResidualBlock(in_channels, out_channels, kernel=kernel, stride=stride, bias=bias),
            *(
                ResidualBlock(out_channels, out_channels, kernel=kernel, stride=same, bias=bias)
                for _ in range(count - 1)
            ),
        ]
        super().__init__(*blocks)
