"""What a choice is worth: each case is judged by what cases of others chose."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from medseg.inference.detection.choosing import choose
from medseg.inference.detection.keeping import KeepRule
from medseg.metrics.detection_case import DetectionCase

PARTS = 5
"""Into so many parts the cases of a single fold are dealt."""


def parts_of(
    cases: Mapping[str, DetectionCase],
    folds: Mapping[str, Collection[str]],
    *,
    groups: Mapping[str, str] | None = None,
) -> list[list[str]]:
    """Part cases so that each part can be judged by what the others choose.

    The folds are the parts, and cases of no fold are one more. Cases of a single fold are dealt
    into five, those with objects evenly; cases of one group (a patient) stay together.

    Args:
        cases: case id -> its boxes.
        folds: fold -> ids of the cases that it held out.
        groups: case id -> group; default: each case is one.

    Returns:
        Ids of each part; fewer than two parts where there is nothing to part.
    """
    parts = [[case for case in cases if case in held] for held in folds.values()]
    parts.append([case for case in cases if not any(case in held for held in folds.values())])
    parts = [part for part in parts if part]
    if len(parts) > 1:
        return parts
    together: dict[str, list[str]] = {}
    for case in sorted(cases):
        together.setdefault((groups or {}).get(case) or case, []).append(case)
    # Groups with objects first: dealt in turn, each part has its share of them.
    ordered = sorted(
        together.values(), key=lambda ids: not any(_has_objects(cases[case]) for case in ids)
    )
    dealt = [
        [case for ids in ordered[first::PARTS] for case in ids]
        for first in range(min(PARTS, len(ordered)))
    ]
    return dealt


def crossed_rules(
    cases: Mapping[str, DetectionCase],
    classes: Sequence[str],
    parts: Sequence[Sequence[str]],
    **options: Any,
) -> dict[str, KeepRule] | None:
    """Choose for each part by the cases of all others.

    Args:
        cases: case id -> its boxes.
        classes: names.
        parts: of `parts_of`.
        **options: of `medseg.inference.detection.choosing.choose`.

    Returns:
        Case id -> the rule that was chosen without it; ``None`` where some part cannot be judged:
        there is one alone, or no other case has an object.
    """
    if len(parts) < 2:
        return None
    rules: dict[str, KeepRule] = {}
    for part in parts:
        others = [case for name, case in cases.items() if name not in set(part)]
        if not any(map(_has_objects, others)):
            return None
        rule = choose(others, classes, **options).rule
        rules |= dict.fromkeys(part, rule)
    return {name: rules[name] for name in cases}


def _has_objects(case: DetectionCase) -> bool:
    return bool(np.any(~case.ignored))
