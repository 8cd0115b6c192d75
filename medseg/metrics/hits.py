"""Which predicted box has found which object, in one image and for one class.

Two rules are in use and give different numbers:

- `IouHit`: boxes must overlap, each object is found once, and by the best score that does (COCO).
- `CentreHit`: the middle of the box must lie within the object (LUNA16).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from medseg.metrics.detection_case import DetectionCase

# In place of a number of a reference or prediction.
MISSED = -1
NEITHER = -2


class Hits(NamedTuple):
    """What found what.

    Attributes:
        matched: int64 ``(P,)``, of each prediction the reference that it has found, `MISSED` if it
            is a false positive, `NEITHER` if it counts neither way.
        found_by: int64 ``(R,)``, of each reference the prediction that found it, `MISSED` if none
            did, `NEITHER` if it is ignored.
    """

    matched: np.ndarray
    found_by: np.ndarray


class HitRule(Protocol):
    """Decides on one image and one class."""

    @property
    def name(self) -> str:
        """The rule in words."""
        ...

    def __call__(self, case: DetectionCase) -> Hits:
        """Match predictions to references of one class, see `DetectionCase.of_class`."""
        ...


@dataclass(frozen=True)
class IouHit:
    """COCO's rule: an IoU of at least `threshold`, one to one, in order of scores."""

    threshold: float

    @property
    def name(self) -> str:
        """The rule in words."""
        return f"IoU >= {self.threshold:g}"

    def __call__(self, case: DetectionCase) -> Hits:
        """Match by overlap, see `match_by_iou`."""
        return match_by_iou(
            case.overlap,
            case.scores,
            threshold=self.threshold,
            ignored=case.ignored,
            crowd=case.crowd,
        )


@dataclass(frozen=True)
class CentreHit:
    """LUNA16's rule: the centre of the predicted box lies in the nodule.

    A nodule is the ellipsoid inscribed in its box. LUNA16's nodules are spheres, and so is the
    ellipsoid in a sphere's box (but for the shear of a tilted gantry): the distance of the centres
    must be below the radius. What lies on the surface is outside. Where LUNA16 gives no diameter
    (-1, on excluded findings), its evaluation takes 10 mm.
    """

    @property
    def name(self) -> str:
        """The rule in words."""
        return "centre in the object"

    def __call__(self, case: DetectionCase) -> Hits:
        """Match by centres, see `match_by_centre`."""
        away = case.preds.centres[:, None] - case.reference.centres[None]
        half = case.reference.sizes[None] / 2
        solid = (half > 0).all(axis=2)
        inside = solid & (np.square(away / np.where(half > 0, half, 1)).sum(axis=2) < 1)
        return match_by_centre(inside, case.scores, ignored=case.ignored)


def match_by_iou(
    overlap: np.ndarray,
    scores: np.ndarray,
    *,
    threshold: float,
    ignored: np.ndarray | None = None,
    crowd: np.ndarray | None = None,
) -> Hits:
    """Match one to one, as COCO does (Lin et al., ECCV 2014; pycocotools).

    Predictions choose in order of score, of equal scores the first one first. Each takes of the
    objects that are still free the one that it overlaps most (of equal ones the last), and an
    ignored one only if there is no other. Who finds none left is a false positive: so is a second
    box on one object. An ignored object excuses one prediction, a crowd any number.

    Args:
        overlap: IoU ``(P, R)``, see `medseg.geometry.box_iou`.
        scores: ``(P,)``.
        threshold: smallest IoU of a hit.
        ignored: bool ``(R,)``.
        crowd: bool ``(R,)``; these are ignored as well.
    """
    none = np.zeros(overlap.shape[1], dtype=bool)
    crowd = none if crowd is None else crowd
    ignored = crowd if ignored is None else ignored | crowd
    matched = np.full(overlap.shape[0], MISSED)
    found_by = np.where(ignored, NEITHER, MISSED)
    # A threshold of 1 would otherwise fail on rounding; pycocotools has the same number.
    close = overlap >= min(threshold, 1 - 1e-10)
    free = ~none
    hopeful = np.flatnonzero(np.any(close, axis=1))
    for pred in hopeful[np.argsort(-scores[hopeful], kind="stable")]:
        open_to = close[pred] & (free | crowd)
        wanted = open_to & ~ignored
        chosen = np.flatnonzero(wanted if wanted.any() else open_to)[::-1]
        if not len(chosen):
            continue
        best = chosen[overlap[pred, chosen].argmax()]
        free[best] = False
        if ignored[best]:
            matched[pred] = NEITHER
        else:
            matched[pred], found_by[best] = best, pred
    return Hits(matched, found_by)


def match_by_centre(
    inside: np.ndarray, scores: np.ndarray, *, ignored: np.ndarray | None = None
) -> Hits:
    """Match as the evaluation of LUNA16 does (Setio et al., Medical Image Analysis 42, 2017).

    An object is found by the best of the predictions inside it (of equal scores the first). The
    others inside it count neither way, nor do those inside an ignored object. A prediction inside
    two objects has found both; `Hits.matched` then names the first. One inside none is a false
    positive.

    Args:
        inside: bool ``(P, R)``, whether a prediction's centre lies in an object.
        scores: ``(P,)``.
        ignored: bool ``(R,)``, excluded findings.
    """
    preds, objects = inside.shape
    ignored = np.zeros(objects, dtype=bool) if ignored is None else ignored
    matched = np.where(inside.any(axis=1), NEITHER, MISSED)
    found_by = np.where(ignored, NEITHER, MISSED)
    if preds and objects:
        best = np.where(inside, scores[:, None], -np.inf).argmax(axis=0)
        found = np.flatnonzero(inside.any(axis=0) & ~ignored)
        found_by[found] = best[found]
        # Backwards: of several objects the first is the last to be written.
        matched[best[found][::-1]] = found[::-1]
    return Hits(matched, found_by)
