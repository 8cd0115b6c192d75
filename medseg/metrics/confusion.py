"""Counts of right and wrong voxels, and the rates made of them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from medseg.errors import InputError


class Confusion(NamedTuple):
    """Voxels by what was predicted and what is true."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def pred(self) -> int:
        """Voxels of the prediction."""
        return self.tp + self.fp

    @property
    def ref(self) -> int:
        """Voxels of the reference."""
        return self.tp + self.fn

    @property
    def true_positive_rate(self) -> float:
        """``TP / (TP + FN)``, the sensitivity; NaN where the reference is empty."""
        return self.tp / self.ref if self.ref else math.nan

    @property
    def false_positive_rate(self) -> float:
        """``FP / (FP + TN)``; NaN where the reference fills the image."""
        negatives = self.fp + self.tn
        return self.fp / negatives if negatives else math.nan


def confusion(pred: np.ndarray, target: np.ndarray) -> Confusion:
    """Count the voxels of two masks of the same shape (non-zero is inside).

    Raises:
        InputError: the shapes differ.
    """
    pred, target = as_masks(pred, target)
    tp = int(np.count_nonzero(pred & target))
    fp = int(np.count_nonzero(pred)) - tp
    fn = int(np.count_nonzero(target)) - tp
    return Confusion(tp, fp, fn, pred.size - tp - fp - fn)


def as_masks(pred: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as bool arrays.

    Raises:
        InputError: the shapes differ.
    """
    pred, target = np.asarray(pred), np.asarray(target)
    if pred.shape != target.shape:
        raise InputError(
            "prediction and reference differ in shape",
            expected=f"the reference's {target.shape}",
            found=f"{pred.shape}",
        )
    return pred.astype(bool, copy=False), target.astype(bool, copy=False)
