"""Whether a fold has something to learn: foreground, and every class, among its training cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from medseg.errors import InputError, InputErrors
from medseg.labels import LabelScheme

_MOST_NAMES = 5


def require_foreground(
    counts: Mapping[str, Sequence[int]],
    train: Sequence[str],
    val: Sequence[str],
    labels: LabelScheme,
    *,
    splits: Path,
    fold: int | str,
) -> list[str]:
    """Refuse a fold whose training cases lack a class.

    Args:
        counts: case id -> voxels per label index, as preprocessed.
        train: ids of the cases to train on.
        val: ids of those held out.
        labels: the data set's.
        splits: the file that says which case is where.
        fold: its number, or ``all``.

    Returns:
        Warnings about the held-out cases, one sentence each.

    Raises:
        InputError: no training case has any foreground; `InputErrors` names each class that none
            of them has.
    """
    learnt = sorted({i for members in labels.region_indices() for i in members})
    names = list(labels.values)
    trained = _together(counts, train, learnt)
    if not any(trained.values()):
        raise InputError(
            f"fold {fold} has nothing to learn: no training case has foreground",
            file=splits,
            expected=f"voxels of {', '.join(names[i] for i in learnt)}",
            found=f"only background in {len(train)} preprocessed training cases",
            remedy=_remedy(fold),
        )
    absent = [i for i in learnt if not trained[i]]
    if absent:
        raise InputErrors(
            InputError(
                f"fold {fold} cannot learn class {names[i]!r}: no training case has it",
                file=splits,
                expected="at least one training case with it",
                found=_where(counts, val, i),
                remedy=_remedy(fold),
            )
            for i in absent
        )
    held_out = _together(counts, val, learnt)
    if val and not any(held_out.values()):
        return [
            f"none of the {len(val)} held-out cases of fold {fold} has foreground: validation "
            "cannot tell a good model from a bad one"
        ]
    return [
        f"no held-out case of fold {fold} has class {names[i]!r}: it is trained, but not validated"
        for i in learnt
        if val and not held_out[i]
    ]


def _together(
    counts: Mapping[str, Sequence[int]], cases: Iterable[str], indices: Sequence[int]
) -> dict[int, int]:
    rows = [counts[case] for case in cases]
    return {i: sum(row[i] for row in rows) for i in indices}


def _where(counts: Mapping[str, Sequence[int]], val: Sequence[str], index: int) -> str:
    there = [case for case in val if counts[case][index]]
    if not there:
        return "none in the preprocessed cases; so small a structure vanishes at a coarse spacing"
    more = f" and {len(there) - _MOST_NAMES} more" if len(there) > _MOST_NAMES else ""
    return f"only among those held out: {', '.join(there[:_MOST_NAMES])}{more}"


def _remedy(fold: int | str) -> str:
    if fold == "all":
        return "check the labels, and plan.spacing, at which small structures can vanish"
    return (
        "train another fold (data.fold), deal other folds (data.folds, data.splits), or set "
        "data.fold=all"
    )
