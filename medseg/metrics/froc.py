"""The free-response curve: how many of the objects are found at how many false alarms a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medseg.metrics.detection_case import DetectionCase
from medseg.metrics.hits import CentreHit, HitRule
from medseg.metrics.tally import LIMIT, Tally, tally

# Where LUNA16 reads the curve.
LUNA16_FPS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, eq=False)
class Froc:
    """A free-response curve, and what is read from it.

    Attributes:
        fps: false positives per case at which the curve is read.
        sensitivities: part of the objects found there; NaN if there are none.
        cpm: their mean, LUNA16's score (competition performance metric).
        curve_fps, curve_sensitivities: ``(K,)``, the corners of the curve from (0, 0); straight
            lines between them.
        curve_scores: ``(K,)``, the score from which on predictions make that point; infinite at
            the first.
    """

    fps: tuple[float, ...]
    sensitivities: tuple[float, ...]
    cpm: float
    curve_fps: np.ndarray
    curve_sensitivities: np.ndarray
    curve_scores: np.ndarray


def froc(
    cases: Sequence[DetectionCase],
    *,
    hit: HitRule | None = None,
    label: int = 0,
    fps: Sequence[float] = LUNA16_FPS,
    limit: int | None = LIMIT,
) -> Froc:
    """Return the free-response curve of one class as LUNA16 evaluates it.

    Each different score is a threshold: everything with that score or a better one counts, so the
    order of equal scores does not matter. Between two thresholds the curve is a straight line,
    before the first it comes from (0, 0), and after the last it stays at its height.

    Args:
        cases: all count as scans, those without objects and without predictions too.
        hit: the rule; default `CentreHit`, LUNA16's. With `IouHit` a second box on an object is a
            false positive.
        label: index of the class.
        fps: false positives per case at which to read the curve.
        limit: predictions of a case that are looked at.

    Without objects the sensitivities are NaN, whatever was predicted; with objects and no
    predictions 0.

    Setio et al., "Validation, comparison, and combination of algorithms for automatic detection of
    pulmonary nodules in computed tomography images: the LUNA16 challenge", Medical Image Analysis
    42, 2017.
    """
    return froc_of(tally(cases, hit or CentreHit(), label=label, limit=limit), fps=fps)


def froc_of(counted: Tally, *, fps: Sequence[float] = LUNA16_FPS) -> Froc:
    """Return the free-response curve of a tally; see `froc`."""
    places = _corners(counted)
    found, wrong = _points(counted, places, counted.once())
    sensitivities = weighted_sensitivities(counted, counted.once(), fps=fps)[0]
    reached = np.concatenate([[np.inf], counted.scores])[places]
    return Froc(
        fps=tuple(float(value) for value in fps),
        sensitivities=tuple(sensitivities.tolist()),
        cpm=float(sensitivities.mean()),
        curve_fps=wrong[0],
        curve_sensitivities=found[0],
        curve_scores=reached,
    )


def weighted_sensitivities(
    counted: Tally, weights: np.ndarray, *, fps: Sequence[float] = LUNA16_FPS
) -> np.ndarray:
    """Return sensitivities ``(B, len(fps))`` when cases count ``weights`` ``(B, C)`` times."""
    found, wrong = _points(counted, _corners(counted), weights)
    # Where the curve goes straight up, interp takes its upper end.
    rows = [np.interp(fps, x, y) for x, y in zip(wrong, found, strict=True)]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(fps))


def _corners(counted: Tally) -> np.ndarray:
    """Return how many of the list make each corner of the curve, from 0 to all.

    It goes up only where a score has hits: before and after these are all corners there are.
    """
    ends = np.append(np.flatnonzero(np.diff(counted.scores)) + 1, len(counted.scores))
    starts = np.append(0, ends[:-1])
    rises = np.diff(np.append(0, np.cumsum(counted.hits))[np.append(0, ends)]) > 0
    return np.unique(np.concatenate([[0], starts[rises], ends[rises], ends[-1:]]))


def _points(
    counted: Tally, places: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return sensitivities and false positives per case ``(B, K)`` at places of the list."""
    found, wrong = counted.cumulative(places, weights)
    weights = np.asarray(weights, dtype=np.float64)
    total, scans = weights @ counted.references, weights.sum(axis=1)
    found = found / np.where(total > 0, total, np.nan)[:, None]
    return found, wrong / np.maximum(scans, 1)[:, None]
