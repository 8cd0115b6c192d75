"""Which boxes are kept of those that were found: those that stand alone, are large and sure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from medseg.errors import InputError
from medseg.geometry.box_iou import box_diameters
from medseg.geometry.boxes import Boxes


@dataclass(frozen=True)
class KeepRule:
    """What is kept, as ``detection.yaml`` writes it.

    Attributes:
        nms: IoU with a surer box of its class above which a box goes, once all looks are
            clustered; ``None``: none goes.
        min_size: class -> mm, below which a box goes: the geometric mean of its extents, the
            diameter of a sphere. Classes that are not named have no smallest size.
        score: class -> score from which a box counts as found. Curves over all scores (average
            precision, FROC) are drawn without it. Classes that are not named show all.

    Raises:
        InputError: a value is none of its kind.
    """

    nms: float | None = None
    min_size: Mapping[str, float] = field(default_factory=dict)
    score: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.nms is not None and not 0 < _number("nms", self.nms) < 1:
            raise InputError("nms is an IoU", expected="between 0 and 1", found=f"{self.nms}")
        for name in ("min_size", "score"):
            given = getattr(self, name)
            if not isinstance(given, Mapping):
                raise InputError(
                    f"{name} has a number for each class",
                    expected=f"{name}: {{CLASS: NUMBER}}",
                    found=str(given),
                )
            values = {str(label): _number(name, value) for label, value in given.items()}
            if any(value < 0 for value in values.values()):
                raise InputError(f"{name} must not be negative", found=str(values))
            if name == "score" and any(value > 1 for value in values.values()):
                raise InputError(
                    "no box has so high a score", expected="between 0 and 1", found=str(values)
                )
            object.__setattr__(self, name, values)

    @classmethod
    def from_dict(cls, state: Any) -> KeepRule:
        """Make a rule of what a file says.

        Raises:
            InputError: it is none.
        """
        known = tuple(cls.__dataclass_fields__)
        if not isinstance(state, Mapping):
            raise InputError("this does not say which boxes are kept", found=str(state))
        unknown = [str(key) for key in state if key not in known]
        if unknown:
            raise InputError(
                "nothing about boxes has this name",
                expected=", ".join(known),
                found=", ".join(unknown),
            )
        return cls(**{key: value for key, value in state.items() if value is not None})

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` takes."""
        return asdict(self)

    def from_score(self, score: float, classes: Sequence[str]) -> KeepRule:
        """Return the rule by which boxes of every class count as found from one score on.

        Raises:
            InputError: it is not in ``[0, 1]``.
        """
        if not 0 <= score <= 1:
            raise InputError(
                "this is no score",
                expected="between 0 and 1",
                found=f"{score}",
                remedy="such as --score 0.5; of no file to keep all boxes: --postprocessing none",
            )
        return replace(self, score=dict.fromkeys(classes, score))

    def in_words(self) -> list[str]:
        """Say each step of the rule."""
        said = []
        if self.nms is not None:
            said.append(f"none that overlaps a surer one by an IoU above {self.nms:g}")
        said += [f"{name} of {mm:g} mm or more" for name, mm in self.min_size.items()]
        return said + [f"{name} from a score of {least:g} on" for name, least in self.score.items()]

    def clean(self, boxes: Boxes, classes: Sequence[str], spacing: Sequence[float]) -> Boxes:
        """Drop boxes beside surer ones and boxes that are too small, and keep the order.

        Args:
            boxes: with scores.
            classes: names by the numbers in ``boxes.classes``.
            spacing: mm per axis.
        """
        if self.nms is not None:
            boxes = suppressed(boxes, self.nms)
        smallest = _by_class(self.min_size, classes, default=0.0)
        if not smallest.any():
            return boxes
        return boxes[box_diameters(boxes.corners, spacing) >= smallest[boxes.classes]]

    def sure(self, boxes: Boxes, classes: Sequence[str]) -> Boxes:
        """Keep the boxes that count as found; arguments as of `clean`."""
        assert boxes.scores is not None
        least = _by_class(self.score, classes, default=-math.inf)
        return boxes[boxes.scores >= least[boxes.classes]]


def suppressed(boxes: Boxes, iou: float) -> Boxes:
    """Drop boxes that overlap a surer one of their class by more than ``iou``; the order stays."""
    import torch

    from medseg.geometry.suppression import nms

    assert boxes.scores is not None
    kept = nms(
        torch.from_numpy(boxes.corners),
        torch.from_numpy(boxes.scores),
        threshold=iou,
        classes=torch.from_numpy(boxes.classes),
    )
    return boxes[np.sort(kept.numpy())]


def _by_class(values: Mapping[str, float], classes: Sequence[str], *, default: float) -> np.ndarray:
    return np.array([values.get(name, default) for name in classes], dtype=np.float64)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{name} must be a number", found=repr(value))
    return float(value)
