"""Trilinear sampling on a lattice on a CPU: each slice as a picture, then between the slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def stretch(
    source: Tensor, places: Sequence[np.ndarray], out: Tensor, *, padding: str = "zeros"
) -> None:
    """Read ``source`` ``(C, D, H, W)`` at a lattice of positions into ``out`` ``(C, I, J, K)``.

    Args:
        source: any strides; may be a view of something larger.
        places: positions along each axis, in voxels.
        out: where the values go.
        padding: what lies outside: ``zeros``, or ``border`` to repeat the outermost values.
    """
    if padding == "border":
        places = [np.clip(p, 0, n - 1) for p, n in zip(places, source.shape[1:], strict=True)]
    grid = _grid(places[1:], source.shape[2:])
    for volume, target in zip(source, out, strict=True):
        # The slices as channels: where to read is then worked out once for all of them.
        slices = F.grid_sample(volume[None], grid, padding_mode=padding, align_corners=False)
        _blend(slices[0], places[0], target)


def _grid(places: Sequence[np.ndarray], sizes: Sequence[int]) -> Tensor:
    """Make the grid ``(1, J, K, 2)`` of `grid_sample`."""
    rows, columns = ((2 * p + 1) / n - 1 for p, n in zip(places, sizes, strict=True))
    pairs = np.stack(np.broadcast_arrays(columns[None, :], rows[:, None]), axis=-1)
    return torch.from_numpy(pairs.astype(np.float32))[None]


def _blend(slices: Tensor, places: np.ndarray, out: Tensor) -> None:
    """Interpolate between slices ``(D, J, K)`` into ``out`` ``(I, J, K)``; zero outside."""
    known, last = slices.unbind(), len(slices) - 1
    for target, place in zip(out.unbind(), places.tolist(), strict=True):
        low = int(place // 1)
        part = place - low
        if 0 <= low < last:
            torch.lerp(known[low], known[low + 1], part, out=target)
        elif low == last:
            torch.mul(known[low], 1 - part, out=target)
        elif low == -1:
            torch.mul(known[0], part, out=target)
        else:
            target.zero_()
