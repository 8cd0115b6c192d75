"""Dice and IoU of two masks."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from medseg.metrics.confusion import Confusion, confusion

Empty = Literal["skip", "one"]


def dice(pred: np.ndarray, target: np.ndarray, *, empty: Empty = "skip") -> float:
    """Return ``2 |A ∩ B| / (|A| + |B|)``.

    Args:
        pred: mask, any shape; non-zero is inside.
        target: mask of the same shape.
        empty: what two empty masks give: ``skip`` NaN (nnU-Net leaves such cases out), ``one`` 1
            (BraTS counts them as right). If only one of them is empty, Dice is 0 under both.

    Raises:
        InputError: the shapes differ.
    """
    return dice_of(confusion(pred, target), empty=empty)


def iou(pred: np.ndarray, target: np.ndarray, *, empty: Empty = "skip") -> float:
    """Return ``|A ∩ B| / |A ∪ B|``; arguments and empty masks as in `dice`."""
    return iou_of(confusion(pred, target), empty=empty)


def dice_of(counts: Confusion, *, empty: Empty = "skip") -> float:
    """Return Dice from counts; see `dice`."""
    return _ratio(2 * counts.tp, counts.pred + counts.ref, empty)


def iou_of(counts: Confusion, *, empty: Empty = "skip") -> float:
    """Return IoU from counts; see `iou`."""
    return _ratio(counts.tp, counts.tp + counts.fp + counts.fn, empty)


def _ratio(part: int, whole: int, empty: Empty) -> float:
    if whole:
        return part / whole
    return 1.0 if empty == "one" else math.nan
