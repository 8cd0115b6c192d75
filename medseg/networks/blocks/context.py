"""Context at several rates: parallel dilated convolutions, fused."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medseg.errors import InputError
from medseg.networks.blocks.convolution import ConvNormAct


class MultiRateContext(nn.Module):
    """Look at the same features with several fields of view.

    ``(B, channels, *S)`` -> ``(B, channels, *S)``: one dilated convolution per rate sees the input
    (atrous spatial pyramid pooling: Chen et al., arXiv 1706.05587; dilated context: Yu and Koltun,
    arXiv 1511.07122), their outputs are concatenated, fused by a 1x1 convolution and added to the
    input, so that the block can only add to what the encoder found (as in CE-Net: Gu et al., arXiv
    1903.02740). The image-level pooling of the original is left out: under a sliding window it
    would see the window and not the image.

    Args:
        channels: in and out; each branch has ``channels / len(rates)``, at least 1.
        kernel: per axis; an axis of kernel 1 is not dilated.
        rates: dilations. One that exceeds the size of the features sees their centre only.
        bias: of the convolutions.

    Raises:
        InputError: no rates, or one below 1.
    """

    def __init__(
        self,
        channels: int,
        *,
        kernel: Sequence[int],
        rates: Sequence[int],
        bias: bool = True,
    ) -> None:
        super().__init__()
        if not rates or min(rates) < 1:
            raise InputError(
                "rates must be one or more positive dilations",
                expected="for instance (1, 2, 4, 8)",
                found=str(tuple(rates)),
            )
        width = max(1, channels // len(rates))
        self.branches = nn.ModuleList(
            ConvNormAct(channels, width, kernel=kernel, dilation=rate, bias=bias) for rate in rates
        )
        self.fusion = ConvNormAct(
            width * len(rates), channels, kernel=(1,) * len(kernel), bias=bias
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add the fused context to ``x``."""
        return x + self.fusion(torch.cat([branch(x) for branch in self.branches], dim=1))
