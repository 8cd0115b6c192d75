"""What a detector did in each case, counted from a score on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from medseg.metrics.tally import Tally

Rows = dict[str, dict[str, dict[str, int]]]
"""Case -> class -> ``references``, ``found``, ``missed`` and ``false``."""


def case_rows(
    ids: Sequence[str], classes: Sequence[str], counted: Sequence[Tally], least: np.ndarray
) -> Rows:
    """Count what was found in each case.

    Args:
        ids: of the cases, as the tallies number them.
        classes: their names.
        counted: of each class.
        least: ``(cases, classes)``, the score from which a box counts.
    """
    rows: Rows = {case: {} for case in ids}
    for label, (name, of) in enumerate(zip(classes, counted, strict=True)):
        shown = of.scores >= least[of.cases, label]
        found = np.bincount(of.cases[shown & of.hits], minlength=len(ids))
        wrong = np.bincount(of.cases[shown & ~of.hits], minlength=len(ids))
        for number, case in enumerate(ids):
            there = int(of.references[number])
            rows[case][name] = {
                "references": there,
                "found": int(found[number]),
                "missed": there - int(found[number]),
                "false": int(wrong[number]),
            }
    return rows


def working_points(
    rows: Mapping[str, Mapping[str, Mapping[str, int]]], classes: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """Return of each class what the boxes that were counted are worth, over all cases.

    These are ``sensitivity`` (part of the objects found), ``precision``, ``f1`` and ``fps`` (false
    positives per case). Without objects the first and the third are ``None``, without boxes the
    second.

    Args:
        rows: of `case_rows`.
        classes: names.
    """
    points = {}
    for name in classes:
        there, found, wrong = (
            sum(row[name][key] for row in rows.values()) for key in ("references", "found", "false")
        )
        points[name] = {
            "sensitivity": found / there if there else None,
            "precision": found / (found + wrong) if found + wrong else None,
            "f1": 2 * found / (there + found + wrong) if there else None,
            "fps": wrong / len(rows) if rows else None,
        }
    return points
