"""What became of each box of a case, short enough for metrics.json.

With these, runs are compared by resampling cases (`medseg.metrics.compare_detections`) without
their boxes and references being at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medseg.metrics.detection_case import DetectionCase
from medseg.metrics.hits import MISSED, HitRule
from medseg.metrics.tally import LIMIT, Tally

_NEITHER = "-"


def outcomes(
    case: DetectionCase,
    rules: Mapping[str, HitRule],
    *,
    label: int,
    limit: int | None = LIMIT,
) -> dict[str, Any]:
    """Say what the boxes of one class came to, best first.

    Args:
        case: predictions and references.
        rules: name -> rule of a hit.
        label: index of the class.
        limit: predictions that are looked at, the best.

    Returns:
        ``scores``, numbers with blanks between them; and for each rule a character a box in
        ``hits``: how many objects it has found (9 for more), ``0`` for a false positive, ``-`` for
        what counts neither way.
    """
    part = case.of_class(label, limit=limit)
    order = np.argsort(-part.scores, kind="stable")
    hits = {}
    for name, rule in rules.items():
        matched, found_by = rule(part)
        found = np.bincount(found_by[found_by >= 0], minlength=len(order))
        signs = [
            str(min(int(n), 9)) if n or of == MISSED else _NEITHER
            for n, of in zip(found[order], matched[order], strict=True)
        ]
        hits[name] = "".join(signs)
    return {"scores": " ".join(f"{score:.7g}" for score in part.scores[order]), "hits": hits}


def tally_of(cases: Sequence[Mapping[str, Any]], rule: str, references: Sequence[int]) -> Tally:
    """Rebuild the list of hits and false positives that `outcomes` of many cases came from.

    Diameters are not known any more. A box that found ten objects or more has found nine.

    Args:
        cases: of each case what `outcomes` returned.
        rule: name of one.
        references: objects of each case.

    Raises:
        ValueError: scores and hits do not go together; `KeyError`: there is no such rule.
    """
    scores, hits, owners = [np.zeros(0)], [np.zeros(0, dtype=bool)], [np.zeros(0, dtype=np.int64)]
    for number, case in enumerate(cases):
        mine = np.array(case["scores"].split(), dtype=np.float64)
        signs = case["hits"][rule]
        if len(signs) != len(mine) or not np.isfinite(mine).all():
            raise ValueError(f"{len(mine)} scores, {len(signs)} outcomes")
        found = np.array([0 if sign == _NEITHER else int(sign) for sign in signs], dtype=np.int64)
        wrong = np.array([sign == "0" for sign in signs], dtype=bool)
        times = np.where(wrong, 1, found)
        scores.append(np.repeat(mine, times))
        hits.append(np.repeat(~wrong, times))
        owners.append(np.full(int(times.sum()), number))
    every = np.concatenate(scores)
    best = np.argsort(-every, kind="stable")
    return Tally(
        every[best],
        np.concatenate(hits)[best],
        np.concatenate(owners)[best],
        np.full(len(best), np.nan),
        np.array(references, dtype=np.int64),
    )
