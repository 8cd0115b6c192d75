"""What a detector found in one image, beside what is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from medseg.geometry.box_iou import box_diameters, box_iou
from medseg.geometry.boxes import Boxes


@dataclass(frozen=True, eq=False)
class DetectionCase:
    """Predicted and reference boxes of one case, on one grid.

    Attributes:
        preds: boxes with scores, in any order; none is an ordinary case.
        reference: boxes; none is an ordinary case, too: a scan without lesions.
        ignored: bool ``(R,)``, references that count neither way: they need not be found, and
            finding them is not wrong. LUNA16 calls them excluded findings. Default: none.
        crowd: bool ``(R,)``, ignored references that hold many objects (COCO's ``iscrowd``).
            Default: none.
        spacing: mm per axis; default: 1.
    """

    preds: Boxes
    reference: Boxes
    ignored: np.ndarray = None  # type: ignore[assignment]
    crowd: np.ndarray = None  # type: ignore[assignment]
    spacing: Sequence[float] = ()

    def __post_init__(self) -> None:
        if self.preds.ndim != self.reference.ndim:
            raise ValueError(f"boxes in {self.preds.ndim}D against {self.reference.ndim}D")
        if self.preds.scores is None or not np.isfinite(self.preds.scores).all():
            raise ValueError("predicted boxes need scores, and finite ones")
        for name in ("ignored", "crowd"):
            given = getattr(self, name)
            flags = np.zeros(len(self.reference)) if given is None else given
            flags = np.array(flags, dtype=bool)
            if flags.shape != (len(self.reference),):
                raise ValueError(f"{len(self.reference)} references, {name} is {flags.shape}")
            object.__setattr__(self, name, flags)
        object.__setattr__(self, "ignored", self.ignored | self.crowd)
        given = self.spacing if len(self.spacing) else np.ones(self.preds.ndim)
        spacing = np.array(given, dtype=np.float64)
        if spacing.shape != (self.preds.ndim,):
            raise ValueError(f"a spacing of {len(spacing)} numbers in {self.preds.ndim}D")
        object.__setattr__(self, "spacing", tuple(spacing.tolist()))

    @classmethod
    def against(
        cls, preds: Boxes, boxes: Boxes, *, classes: int, spacing: Sequence[float] = ()
    ) -> DetectionCase:
        """Hold predictions against a case's boxes, of which those of class -1 are to be ignored.

        Args:
            preds: boxes with scores.
            boxes: the case's; what is to be ignored is so for a prediction of any class.
            classes: how many there are.
            spacing: mm per axis.
        """
        counted = boxes.classes >= 0
        passed = np.repeat(boxes.corners[~counted], classes, axis=0)
        every = np.tile(np.arange(classes), len(boxes) - int(counted.sum()))
        reference = Boxes(
            np.concatenate([boxes.corners[counted], passed]),
            np.concatenate([boxes.classes[counted], every]),
        )
        ignored = np.arange(len(reference)) >= counted.sum()
        return cls(preds, reference, ignored, spacing=spacing)

    @property
    def scores(self) -> np.ndarray:
        """Scores ``(P,)`` of the predicted boxes."""
        assert self.preds.scores is not None
        return self.preds.scores

    def of_class(self, label: int, *, limit: int | None = None) -> DetectionCase:
        """Return what is of one class, predictions in the order that they have.

        Args:
            label: index of the class.
            limit: no more predictions than that, the best; of equal scores the first.
        """
        found = np.flatnonzero(self.preds.classes == label)
        best = np.argsort(-self.scores[found], kind="stable")[:limit]
        there = self.reference.classes == label
        return DetectionCase(
            self.preds[found[np.sort(best)]],
            self.reference[there],
            self.ignored[there],
            self.crowd[there],
            self.spacing,
        )

    @cached_property
    def overlap(self) -> np.ndarray:
        """IoU of all predictions with all references ``(P, R)``, see `box_iou`."""
        return box_iou(self.preds.corners, self.reference.corners, crowd=self.crowd)

    @cached_property
    def pred_diameters(self) -> np.ndarray:
        """Sizes of the predicted boxes in mm, see `box_diameters`."""
        return box_diameters(self.preds.corners, self.spacing)

    @cached_property
    def reference_diameters(self) -> np.ndarray:
        """Sizes of the reference boxes in mm, see `box_diameters`."""
        return box_diameters(self.reference.corners, self.spacing)
