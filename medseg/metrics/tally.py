"""What counts for a detector in many cases: the hits and the false positives, best first.

Average precision and the free-response curve are both sums over this list up to some place. A
bootstrap over cases only changes how often each case counts, so it needs no second matching.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medseg.metrics.detection_case import DetectionCase
from medseg.metrics.hits import MISSED, HitRule

# As many boxes of a case and class as COCO and LUNA16 look at. Where the 101st has the score of
# boxes before it, LUNA16 drops them, too; COCO and this keep the first hundred.
LIMIT = 100

_Events = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Tally:
    """Hits and false positives of one class under one rule, in order of score.

    What counts neither way is not in it. Equal scores are in the order of the cases and of the
    predictions in them.

    Attributes:
        scores: float64 ``(E,)``, falling.
        hits: bool ``(E,)``: an object found, or a false positive.
        cases: int64 ``(E,)``, number of the case that each is from.
        diameters: float64 ``(E,)``, mm: of the object found; NaN for a false positive.
        references: int64 ``(C,)``, objects to be found in each case.
    """

    scores: np.ndarray
    hits: np.ndarray
    cases: np.ndarray
    diameters: np.ndarray
    references: np.ndarray

    @property
    def n_cases(self) -> int:
        """Cases, those without objects and without predictions too."""
        return len(self.references)

    def cumulative(self, places: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Count hits and false positives among the first so many of the list.

        Args:
            places: int ``(K,)``, not falling: how many of the list.
            weights: ``(B, C)``, how often each case counts.

        Returns:
            Hits and false positives, float64 ``(B, K)``.
        """
        from scipy.sparse import coo_array

        # The first place that an entry counts for; what is behind the last counts for none.
        part = np.searchsorted(places, np.arange(len(self.scores)), side="right")
        totals = []
        for kind in (self.hits, ~self.hits):
            chosen = kind & (part < len(places))
            entries = (np.ones(int(chosen.sum())), (part[chosen], self.cases[chosen]))
            counts = coo_array(entries, shape=(len(places), self.n_cases)).tocsr()
            between = np.asarray(counts @ np.asarray(weights, dtype=np.float64).T)
            totals.append(np.ascontiguousarray(between.cumsum(axis=0).T))
        return totals[0], totals[1]

    def once(self) -> np.ndarray:
        """Return weights ``(1, C)`` by which every case counts once."""
        return np.ones((1, self.n_cases))

    def of_objects(self, smallest: float, below: float, references: np.ndarray) -> Tally:
        """Keep the hits on objects of some sizes, and all false positives: these have no size.

        Args:
            smallest: diameter in mm.
            below: diameter in mm, excluded.
            references: ``(C,)``, how many objects of these sizes there are.
        """
        sized = (self.diameters >= smallest) & (self.diameters < below)
        kept = ~self.hits | sized
        return replace(
            self,
            scores=self.scores[kept],
            hits=self.hits[kept],
            cases=self.cases[kept],
            diameters=self.diameters[kept],
            references=references,
        )


def tally(
    cases: Sequence[DetectionCase],
    hit: HitRule,
    *,
    label: int = 0,
    limit: int | None = LIMIT,
    sizes: tuple[float, float] | None = None,
) -> Tally:
    """Match every case and put what counts in order of score.

    Args:
        cases: no predictions, no references, or neither: all are ordinary cases.
        hit: the rule.
        label: index of the class.
        limit: predictions of a case that are looked at, the best; ``None``: all.
        sizes: only objects of these diameters in mm count, the second excluded. Others are ignored,
            and false positives of other sizes count neither way (COCO's small, medium and large).
    """
    return tallies(cases, [hit], label=label, limit=limit, sizes=sizes)[0]


def tallies(
    cases: Sequence[DetectionCase],
    hits: Sequence[HitRule],
    *,
    label: int = 0,
    limit: int | None = LIMIT,
    sizes: tuple[float, float] | None = None,
) -> list[Tally]:
    """Return what `tally` does under each of several rules, in one go."""
    parts = [case.of_class(label, limit=limit) for case in cases]
    if sizes is not None:
        parts = [_only_sizes(case, *sizes) for case in parts]
    references = np.array([(~case.ignored).sum() for case in parts], dtype=np.int64)
    return [_joined([_events(case, hit, sizes) for case in parts], references) for hit in hits]


def _only_sizes(case: DetectionCase, smallest: float, below: float) -> DetectionCase:
    sizes = case.reference_diameters
    return replace(case, ignored=case.ignored | (sizes < smallest) | (sizes >= below))


def _events(case: DetectionCase, hit: HitRule, sizes: tuple[float, float] | None) -> _Events:
    """Return scores, hits and diameters of what counts in a case, in the predictions' order."""
    matched, found_by = hit(case)
    false = matched == MISSED
    if sizes is not None:
        false &= (case.pred_diameters >= sizes[0]) & (case.pred_diameters < sizes[1])
    found, wrong = (found_by >= 0).nonzero()[0], false.nonzero()[0]
    preds = np.concatenate([found_by[found], wrong])
    diameters = np.full(len(preds), np.nan)
    diameters[: len(found)] = case.reference_diameters[found]
    order = np.argsort(preds, kind="stable")
    return case.scores[preds[order]], order < len(found), diameters[order]


def _joined(cases: Sequence[_Events], references: np.ndarray) -> Tally:
    none: _Events = (np.zeros(0), np.zeros(0, dtype=bool), np.zeros(0))
    scores, hits, diameters = (np.concatenate(kind) for kind in zip(none, *cases, strict=True))
    owners = np.repeat(np.arange(len(cases)), [len(case[0]) for case in cases])
    best = np.argsort(-scores, kind="stable")
    return Tally(scores[best], hits[best], owners[best], diameters[best], references)
