"""Linear interpolation along one axis after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from medseg.data.feed.augment.warp import slab_rows


def stretch(source: Tensor, places: Sequence[np.ndarray], out: Tensor) -> None:
    """Read ``source`` ``(C, *R)`` at a lattice of positions into ``out`` ``(C, *S)``.

    Args:
        source: any strides; may be a view of something larger.
        places: positions ``(S,)`` along each axis, in voxels; what lies outside is zero.
        out: where the values go.
    """
    source = source if source.ndim == 4 else source.contiguous()
    rows = slab_rows(out.shape[1:], source.device)
    lines = [_line(line, source) for line in places]
    for first in range(0, out.shape[1], rows):
        slab = slice(first, min(first + rows, out.shape[1]))
        if source.device.type == "cpu" and source.ndim == 4:
            part = _planes(source, places[0][slab])
        else:
            part = interpolate(source, 1, lines[0][slab], outside="zero")
        for axis in range(2, out.ndim):
            part = interpolate(part, axis, lines[axis - 1], outside="zero")
        out[:, slab] = part


def interpolate(array: Tensor, axis: int, places: Tensor, *, outside: str) -> Tensor:
    """Read ``array`` at fractional positions along ``axis``, linearly between neighbours.

    Args:
        array: any shape; contiguous, or it is slow.
        axis: which one.
        places: float32 positions ``(n,)`` in voxels.
        outside: ``zero``, or ``edge`` to repeat the outermost value.
    """
    size = array.shape[axis]
    if outside == "edge":
        places = places.clamp(0, size - 1)
    below = places.floor()
    part = places - below
    low, high = below.to(torch.int64), below.to(torch.int64) + 1
    first, second = 1 - part, part
    if outside == "zero":
        first = first * ((low >= 0) & (low < size))
        second = second * ((high >= 0) & (high < size))
    low, high = low.clamp(0, size - 1), high.clamp(0, size - 1)
    if axis == array.ndim - 1 and array.device.type == "cpu":
        # Single values are slow to gather; a product with two entries a column is not. On a GPU it
        # is the other way round, and TF32 might round.
        columns = torch.arange(len(places))
        matrix = array.new_zeros((size, len(places)))
        matrix[low, columns] = first
        matrix[high, columns] += second
        return array @ matrix
    shape = [-1 if a == axis else 1 for a in range(array.ndim)]
    result = array.index_select(axis, low).mul_(first.view(shape))
    return result.addcmul_(array.index_select(axis, high), second.view(shape))


def _planes(source: Tensor, places: np.ndarray) -> Tensor:
    """Interpolate along the first spatial axis plane by plane, which strides do not slow down."""
    size = source.shape[1]
    result = source.new_empty((len(source), len(places), *source.shape[2:]))
    for number, place in enumerate(places.tolist()):
        low = int(np.floor(place))
        target, part = result[:, number], place - low
        if 0 <= low < size - 1:
            torch.lerp(source[:, low], source[:, low + 1], part, out=target)
        elif low == size - 1:
            torch.mul(source[:, low], 1 - part, out=target)
        elif low == -1:
            torch.mul(source[:, 0], part, out=target)
        else:
            target.zero_()
    return result


def _line(places: np.ndarray, like: Tensor) -> Tensor:
    """Bring evenly spaced positions to a device by scalars alone, so that nothing waits."""
    step = float(places[1] - places[0]) if len(places) > 1 else 0.0
    line = torch.arange(len(places), device=like.device, dtype=torch.float32)
    return line.mul_(step).add_(float(places[0]))
