"""Mirrors and quarter turns: voxels change places, none is interpolated."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from medseg.data.feed.augment.warp import Warp


def rearrange(array: Tensor, warp: Warp | None, out: Tensor) -> None:
    """Copy the voxels of ``(C, *S)`` to where a warp shows them in ``out`` ``(C, *S)``.

    Args:
        array: the patch.
        warp: one that is `exact`; ``None`` leaves them where they are.
        out: where to.
    """
    if warp is not None:
        linear = warp.matrix[:, :-1]
        order = np.abs(linear).argmax(axis=0) + 1
        flips = np.flatnonzero(linear.sum(axis=0) < 0) + 1
        array = array.permute(0, *order.tolist()).flip(flips.tolist())
    out.copy_(array)
