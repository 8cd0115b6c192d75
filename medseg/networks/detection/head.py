"""A head that all levels of a pyramid share."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, log

from torch import nn

from medseg.networks.blocks.convolution import convolution

_GROUPS = 8
_SPREAD = 0.01


class SharedHead(nn.Sequential):
    """Convolutions, each with group norm and ReLU, and one that gives the output.

    ``(B, channels, *S)`` -> ``(B, out_channels, *S)``. Eight groups, or as many as divide the
    channels: a batch of few patches has no statistics of its own (Wu & He, Group Normalization,
    ECCV 2018). Weights start small, as in RetinaNet (Lin et al., arXiv 1708.02002).

    Args:
        channels: of the levels.
        out_channels: of the output.
        count: convolutions before the last.
        kernel: one odd number per axis.
        prior: probability that logits start with, so that the many places without an object do not
            drown the few with one in the first steps; ``None``: outputs start at 0.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        count: int,
        kernel: Sequence[int],
        prior: float | None = None,
    ) -> None:
        convs = [convolution(channels, channels, kernel=kernel) for _ in range(count)]
        last = convolution(channels, out_channels, kernel=kernel)
        units: list[nn.Module] = []
        for conv in convs:
            units += [conv, nn.GroupNorm(gcd(_GROUPS, channels), channels), nn.ReLU(inplace=True)]
        super().__init__(*units, last)
        for conv in (*convs, last):
            nn.init.normal_(conv.weight, std=_SPREAD)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)
        if prior is not None and last.bias is not None:
            nn.init.constant_(last.bias, -log((1 - prior) / prior))
