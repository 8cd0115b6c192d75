"""How large boxes are, and how much they overlap, in NumPy; in torch: `box_overlap`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def box_iou(
    preds: np.ndarray, reference: np.ndarray, *, crowd: np.ndarray | None = None
) -> np.ndarray:
    """Return intersection over union ``(N, M)`` of all pairs, in ``[0, 1]``.

    Args:
        preds: corners ``(N, 2n)`` as in `medseg.geometry.boxes`; none are as good as many.
        reference: corners ``(M, 2n)``.
        crowd: ``(M,)``, references around many objects. With them the intersection is divided by
            the predicted box alone, as COCO does: one of the many lies wholly inside.

    Two boxes without volume have 0, whether or not they are the same.
    """
    n = preds.shape[1] // 2
    common = np.ones((len(preds), len(reference)))
    # Axis by axis: of thousands of cells in a picture all at once would be gigabytes.
    for axis in range(n):
        low = np.maximum(preds[:, None, axis], reference[None, :, axis])
        high = np.minimum(preds[:, None, n + axis], reference[None, :, n + axis])
        common *= np.clip(high - low, 0, None)
    mine, theirs = box_volumes(preds)[:, None], box_volumes(reference)[None, :]
    whole = mine + theirs - common
    if crowd is not None:
        whole = np.where(crowd[None, :], mine, whole)
    return np.divide(common, whole, out=np.zeros_like(common), where=whole > 0)


def box_volumes(corners: np.ndarray) -> np.ndarray:
    """Return areas or volumes ``(N,)`` in voxels; a box with swapped corners has none."""
    n = corners.shape[1] // 2
    return np.clip(corners[:, n:] - corners[:, :n], 0, None).prod(axis=1)


def box_diameters(corners: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Return the sizes ``(N,)`` in mm: the geometric mean of a box's extents.

    Of the box around a sphere it is the sphere's diameter, as LUNA16 gives it, and of a picture's
    the root of its area, by which COCO tells small from large.
    """
    n = corners.shape[1] // 2
    extents = np.clip(corners[:, n:] - corners[:, :n], 0, None) * np.asarray(spacing, dtype=float)
    # To a nanometre: by the root alone a cube of 10 mm would be below 10 mm.
    return np.round(extents.prod(axis=1) ** (1 / n), 6)
