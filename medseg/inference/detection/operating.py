"""Where on its free-response curve a detector works: from which score a box counts as found."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from medseg.metrics.tally import Tally

Operate = Literal["f1"] | float
"""The best F1, or so many false positives per case at most."""


class Operating(NamedTuple):
    """What the boxes from a score on are worth, over all cases.

    Attributes:
        score: the score; ``None``: all boxes count.
        sensitivity: part of the objects that are found.
        fps: false positives per case.
        f1: ``2 TP / (2 TP + FP + FN)``.
    """

    score: float | None
    sensitivity: float
    fps: float
    f1: float


def operating_points(counted: Tally, operate: Operate = "f1") -> tuple[Operating, Operating]:
    """Return the point to work at, and the one where all boxes count.

    With ``f1`` it is that of the highest F1 of the boxes of all cases together: a mean of F1 over
    cases would have no value for a scan without objects. Of equally good points it is the one that
    finds more. With a number it is the one that finds most with no more false positives per case
    than that. The score lies between those of the last box that counts and the first that does not,
    as a short number near their middle, so that it hangs on neither.

    Args:
        counted: hits and false positives of one class, with an object at least.
        operate: see above; a number must not be negative.
    """
    ends = np.append(np.flatnonzero(np.diff(counted.scores)) + 1, len(counted.scores))
    places = np.unique(np.append(0, ends))
    found = np.append(0, np.cumsum(counted.hits))[places]
    wrong = places - found
    there, scans = int(counted.references.sum()), counted.n_cases
    f1 = 2 * found / (there + found + wrong)
    if operate == "f1":
        best = np.flatnonzero(f1 >= f1.max() - 1e-12)[-1]
    else:
        best = np.flatnonzero(wrong <= operate * scans + 1e-9)[-1]

    def at(point: int) -> Operating:
        return Operating(
            _score_at(counted.scores, int(places[point])),
            float(found[point] / there),
            float(wrong[point] / scans),
            float(f1[point]),
        )

    return at(int(best)), at(-1)


def _score_at(scores: np.ndarray, place: int) -> float | None:
    """Return a score that so many of the falling scores reach; ``None``: all of them."""
    if place == len(scores):
        return None
    below = float(scores[place])
    # Where none counts, no score was high enough.
    above = float(scores[place - 1]) if place else max(1.0, float(np.nextafter(below, np.inf)))
    for digits in range(1, 17):
        short = float(f"{(below + above) / 2:.{digits}g}")
        if below < short < above:
            return short
    return above
