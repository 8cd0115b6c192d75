"""Turned and zoomed copies of an image, segmented and averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from medseg.data.feed.augment.affine import rotation_matrix, sampling_matrix
from medseg.data.feed.augment.resample import resample
from medseg.data.feed.augment.warp import Warp
from medseg.data.feed.batch import Wide
from medseg.data.prepare.resampling import ANISOTROPY

ANGLE = 7.0
"""Degrees by which the small set turns an image, either way."""

ZOOMS = (0.94, 1.06)
"""Factors by which it scales an image."""

# Of what a voxel is interpolated from, this much must lie inside; the rest is rounding.
_INSIDE = 0.998


def small_affine(spacing: Sequence[float], patch_size: Sequence[int]) -> tuple[np.ndarray, ...]:
    """Give the four maps of the small set, linear maps of space in mm, each ``(ndim, ndim)``.

    An image is turned by `ANGLE` either way, and scaled by each of `ZOOMS`. A volume turns about
    its coarsest axis (the last of equal ones: from foot to head), in the plane of the finest
    voxels. Where slices are more than three times as thick as their pixels are wide, or a network
    sees slices one by one, it is scaled in that plane only, too: no slice is mixed with the next.

    Args:
        spacing: mm per axis of the grid that is predicted on.
        patch_size: voxels per axis of what the network sees; 1 along an axis of single slices.
    """
    ndim = len(spacing)
    across = _across(spacing, patch_size)
    a, b = (axis for axis in range(ndim) if axis != across)
    flat = across is not None and (
        patch_size[across] == 1 or spacing[across] > ANISOTROPY * min(spacing)
    )
    scaled = np.array([axis != across or not flat for axis in range(ndim)])
    turns = [rotation_matrix(ndim, a, b, angle) for angle in (ANGLE, -ANGLE)]
    return (*turns, *(np.diag(np.where(scaled, zoom, 1.0)) for zoom in ZOOMS))


def average_views(
    run: Callable[[Tensor], Tensor],
    image: Tensor,
    maps: Sequence[np.ndarray],
    spacing: Sequence[float],
) -> Tensor:
    """Average the logits of an image over mapped copies of it, each brought back.

    A copy lies on the image's own grid, about the same centre, with zeros where the image ends, and
    is read linearly; its logits are read at the exact inverse. It counts where it shows the image:
    what it moved off the grid, or was interpolated from beyond the image, is left out of the mean
    there, as the image itself counts everywhere.

    Args:
        run: segments images ``(B, C, *S)`` into new logits ``(B, K, *S)``.
        image: ``(B, C, *S)``.
        maps: linear maps of space in mm ``(ndim, ndim)``, see `small_affine`.
        spacing: mm per axis.

    Returns:
        Logits ``(B, K, *S)``, where those of ``run`` lie.
    """
    total = run(image)
    if not maps:
        return total
    still, shape = np.zeros(len(spacing)), image.shape[2:]
    count = torch.ones(shape, device=total.device)
    for forward in maps:
        there = Warp(sampling_matrix(forward, still, spacing))
        back = Warp(sampling_matrix(np.linalg.inv(forward), still, spacing))
        logits = run(torch.stack([_read(one, there) for one in image]))
        shown = _shown(shape, there, back, logits.device)
        for sum_of_one, channel in zip(total.flatten(0, 1), logits.flatten(0, 1), strict=True):
            sum_of_one += _read(channel[None], back)[0] * shown
        count += shown
    return total.div_(count)


def _shown(shape: Sequence[int], there: Warp, back: Warp, device: torch.device) -> Tensor:
    """Say where a copy shows the image ``(*S)``: 1, else 0."""
    whole = torch.ones((1, *shape), device=device)
    filled = (_read(whole, there) > _INSIDE).float()
    return (_read(filled, back)[0] > _INSIDE).float()


def _read(channels: Tensor, warp: Warp) -> Tensor:
    """Read ``(C, *S)`` linearly through a warp; zero outside."""
    # Sampling reuses memory that a training in this process must be able to write to, later.
    with torch.inference_mode(False), torch.no_grad():
        out = torch.empty(channels.shape, device=channels.device)
        resample(Wide(channels.float(), None, (0,) * (channels.ndim - 1)), warp, out, None)
        return out


def _across(spacing: Sequence[float], patch_size: Sequence[int]) -> int | None:
    """Choose the axis of a volume to turn about; a picture has none."""
    if len(spacing) == 2:
        return None
    if 1 in patch_size:
        return list(patch_size).index(1)
    return max(range(3), key=lambda axis: (spacing[axis], axis))
