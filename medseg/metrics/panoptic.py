"""Panoptic quality: are the right objects found, and how well are they outlined?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from medseg.errors import InputError


@dataclass(frozen=True)
class Panoptic:
    """Counts of one class; those of several images add up.

    Attributes:
        tp: pairs of a predicted and a reference object whose IoU is above 0.5.
        fp: predicted objects without such a partner.
        fn: reference objects without.
        iou: sum of the pairs' IoU.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    iou: float = 0.0

    def __add__(self, other: Panoptic) -> Panoptic:
        return Panoptic(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.iou + other.iou
        )

    @property
    def sq(self) -> float:
        """Segmentation quality: mean IoU of the pairs; NaN without a pair."""
        return self.iou / self.tp if self.tp else math.nan

    @property
    def rq(self) -> float:
        """Recognition quality ``tp / (tp + fp / 2 + fn / 2)``: F1; NaN without any object."""
        whole = self.tp + (self.fp + self.fn) / 2
        return self.tp / whole if whole else math.nan

    @property
    def pq(self) -> float:
        """Panoptic quality ``sq · rq``: 0 without a pair, NaN without any object."""
        whole = self.tp + (self.fp + self.fn) / 2
        return self.iou / whole if whole else math.nan


def panoptic(
    pred: np.ndarray, reference: np.ndarray, *, void: np.ndarray | None = None
) -> Panoptic:
    """Count the objects of one class in one image (Kirillov et al., CVPR 2019).

    An IoU above 0.5 is had with one partner at most, so nothing needs to be chosen. (Panoptica
    pairs at 0.5, too, and differs where an IoU is exactly that.)

    Args:
        pred: instance map ``(*S)`` of whole numbers: 0 background, every other value an object.
        reference: instance map of the same shape.
        void: bool ``(*S)``, voxels that nobody labelled. They count in no IoU, and a predicted
            object without partner that lies there for more than half is no false positive.

    Either map may be empty; with both empty all counts are 0.

    Raises:
        InputError: the shapes differ.
    """
    pred, reference = np.asarray(pred), np.asarray(reference)
    if pred.shape != reference.shape:
        raise InputError(
            "prediction and reference differ in shape",
            expected=f"the reference's {reference.shape}",
            found=f"{pred.shape}",
        )
    hidden = np.zeros(pred.shape, dtype=bool) if void is None else np.asarray(void, dtype=bool)
    mine, theirs = _numbered(pred), _numbered(np.where(hidden, 0, reference))
    n_mine, n_theirs = int(mine.max(initial=0)), int(theirs.max(initial=0))
    in_void = np.bincount(mine[hidden], minlength=n_mine + 1)
    sizes = np.bincount(mine.ravel(), minlength=n_mine + 1)
    their_sizes = np.bincount(theirs.ravel(), minlength=n_theirs + 1)

    both = (mine > 0) & (theirs > 0)
    pairs, common = np.unique(mine[both] * (n_theirs + 1) + theirs[both], return_counts=True)
    first, second = pairs // (n_theirs + 1), pairs % (n_theirs + 1)
    iou = common / (sizes[first] - in_void[first] + their_sizes[second] - common)
    paired = iou > 0.5
    excused = in_void[1:] > sizes[1:] / 2
    excused[first[paired] - 1] = False
    tp = int(paired.sum())
    return Panoptic(
        tp=tp,
        fp=n_mine - tp - int(excused.sum()),
        fn=n_theirs - tp,
        iou=math.fsum(iou[paired]),
    )


def panoptic_by_class(
    pred: np.ndarray,
    pred_classes: np.ndarray,
    reference: np.ndarray,
    reference_classes: np.ndarray,
    *,
    classes: int,
    void: np.ndarray | None = None,
) -> list[Panoptic]:
    """Count the objects of each class in one image; see `panoptic`.

    Args:
        pred: instance map ``(*S)``: 0 background, ``i + 1`` object ``i`` (as `Instances.map`).
        pred_classes: ``(N,)``, classes of the objects from 0.
        reference: instance map of the same shape, numbered in the same way.
        reference_classes: ``(M,)``.
        classes: how many there are. Objects of different classes are no partners.
        void: as in `panoptic`.
    """
    return [
        panoptic(
            _of_class(pred, pred_classes, label),
            _of_class(reference, reference_classes, label),
            void=void,
        )
        for label in range(classes)
    ]


def _of_class(instances: np.ndarray, classes: np.ndarray, label: int) -> np.ndarray:
    classes = np.asarray(classes)
    numbers = np.where(classes == label, np.arange(1, len(classes) + 1), 0)
    return np.append(0, numbers)[instances]


def _numbered(instances: np.ndarray) -> np.ndarray:
    """Number the objects from 1 without gaps."""
    values = np.unique(instances)
    dense = np.searchsorted(values[values != 0], instances) + 1
    dense[instances == 0] = 0
    return dense
