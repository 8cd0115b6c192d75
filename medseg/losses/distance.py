"""How far each voxel is from the boundary of a mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from medseg.errors import InputError


@torch.no_grad()
def signed_distance(
    masks: Tensor, *, valid: Tensor | None = None, spacing: Sequence[float] | None = None
) -> Tensor:
    """Return the exact Euclidean distance to the other side, negative inside the mask.

    Outside it is the distance to the nearest voxel inside, and inside minus the distance to the
    nearest voxel outside: 1 and -1 on either side of a boundary. A mask that is empty, or full, has
    no boundary: it is 0 everywhere.

    SciPy computes it on the CPU, mask by mask (`scipy.ndimage.distance_transform_edt`); whatever
    lies on a GPU is awaited and copied.

    Args:
        masks: bool ``(B, K, *S)``.
        valid: bool ``(B, 1, *S)``, the voxels of which is known whether they are inside; no
            boundary runs along the others, and what is returned there means nothing.
        spacing: of the voxels, one number per axis. Distances are in units of the finest, so that
            their scale does not depend on the unit. ``None``: all axes alike.

    Returns:
        float32 ``(B, K, *S)`` on the masks' device.

    Raises:
        InputError: ``spacing`` does not have one positive number per axis.
    """
    from scipy.ndimage import distance_transform_edt

    sampling = _relative(spacing, masks.ndim - 2)
    inside = masks.cpu().numpy()
    known = None if valid is None else valid.cpu().numpy()
    out = np.zeros(inside.shape, dtype=np.float32)
    for b, k in np.ndindex(inside.shape[:2]):
        mask = inside[b, k]
        rest = ~mask
        if known is not None:
            mask, rest = mask & known[b, 0], rest & known[b, 0]
        if mask.any() and rest.any():
            within = distance_transform_edt(~rest, sampling=sampling)
            beyond = distance_transform_edt(~mask, sampling=sampling)
            out[b, k] = np.where(mask, -within, beyond)
    return torch.from_numpy(out).to(masks.device)


def _relative(spacing: Sequence[float] | None, ndim: int) -> list[float] | None:
    if spacing is None:
        return None
    if len(spacing) != ndim or not min(spacing) > 0:
        raise InputError(
            "the spacing of a loss with distances must have one positive number per axis",
            expected=f"{ndim} numbers",
            found=str(list(spacing)),
        )
    return [value / min(spacing) for value in spacing]
