"""The residual block whose convolutions come last, with dilation."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from medseg.networks.blocks.convolution import convolution, norm


class PreactivatedBlock(nn.Module):
    """Norm, ReLU and dilated convolution, twice, around which the input is added.

    ``(B, in_channels, *S)`` -> ``(B, out_channels, *S)``, ``out_channels`` not below
    ``in_channels``: the shortcut has no weights, and channels that it lacks are zeros, half of them
    before and half behind. He et al., Identity Mappings in Deep Residual Networks, arXiv
    1603.05027.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: Sequence[int], dilation: int = 1
    ) -> None:
        super().__init__()
        dims = len(kernel)
        layers: list[nn.Module] = []
        for channels in (in_channels, out_channels):
            layers += [
                norm(channels, dims),
                nn.ReLU(),
                convolution(channels, out_channels, kernel=kernel, dilation=dilation, bias=False),
            ]
        self.branch = nn.Sequential(*layers)
        before = (out_channels - in_channels) // 2
        behind = out_channels - in_channels - before
        self._lacking = (*[0, 0] * dims, before, behind)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of the input and what the convolutions make of it."""
        return self.branch(x) + F.pad(x, self._lacking)
