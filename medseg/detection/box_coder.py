"""How a network says where a box is: as a correction of its anchor."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

LARGEST = log(1000 / 16)
"""The largest logarithm of a size that is decoded, R-CNN's: a box is 62.5 anchors long at most."""

# Voxels; a box without size has no logarithm.
_SMALLEST = 1e-3


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Return the deltas ``(M, 2n)`` that make each anchor the box of the same number.

    First the way from centre to centre in sizes of the anchor, then the logarithm of the ratio of
    the sizes (Girshick et al., R-CNN, CVPR 2014, appendix C), all weights 1.
    """
    centres, sizes = _middles(boxes)
    origins, units = _middles(anchors)
    return torch.cat(
        [(centres - origins) / units, torch.log(sizes.clamp(min=_SMALLEST) / units)], dim=1
    )


def decode(deltas: Tensor, anchors: Tensor, *, largest: float = LARGEST) -> Tensor:
    """Undo `encode`: return corners ``(M, 2n)``; logarithms are cut off at ``largest``."""
    shift, growth = deltas.chunk(2, dim=1)
    origins, units = _middles(anchors.to(deltas))
    centres = origins + shift * units
    half = torch.exp(growth.clamp(max=largest)) * units / 2
    return torch.cat([centres - half, centres + half], dim=1)


def _middles(boxes: Tensor) -> tuple[Tensor, Tensor]:
    lower, upper = boxes.chunk(2, dim=1)
    return (lower + upper) / 2, upper - lower
