"""One step up the decoder: transposed convolution, skips, convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from medseg.networks.blocks.convolution import ConvStack

_TRANSPOSED: dict[int, Callable[..., nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class UpStage(nn.Module):
    """Enlarge the coarser features, join those of the encoder, convolve.

    ``(B, in_channels, *S)`` and ``skips`` tensors ``(B, out_channels, *S * stride)`` ->
    ``(B, out_channels, *S * stride)``. The transposed convolution's kernel equals its stride, so it
    leaves no checkerboard (Odena et al., doi 10.23915/distill.00003).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        count: int,
        kernel: Sequence[int],
        stride: Sequence[int],
        skips: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.enlarge = _TRANSPOSED[len(kernel)](
            in_channels, out_channels, tuple(stride), stride=tuple(stride), bias=bias
        )
        self.convs = ConvStack(
            (1 + skips) * out_channels, out_channels, count=count, kernel=kernel, bias=bias
        )

    def forward(self, x: Tensor, *skips: Tensor) -> Tensor:
        """Return the features at the resolution of ``skips``."""
        return self.convs(torch.cat([self.enlarge(x), *skips], dim=1))
