"""Whether a fold has something to learn: every class, or region, among its training cases."""

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
    """Refuse a fold whose training cases lack a class, or a region.

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
        InputError: no training case has any foreground; `InputErrors` names each class, or region,
            that none of them has.
    """
    learnt = dict(zip(labels.foreground, labels.region_indices(), strict=True))
    what = "region" if labels.regions else "class"
    trained = _together(counts, train, learnt)
    if not any(trained.values()):
        raise InputError(
            f"fold {fold} has nothing to learn: no training case has foreground",
            file=splits,
            expected=f"voxels of {', '.join(learnt)}",
            found=f"only background in {len(train)} preprocessed training cases",
            remedy=_remedy(fold),
        )
    absent = [name for name in learnt if not trained[name]]
    if absent:
        raise InputErrors(
            InputError(
                f"fold {fold} cannot learn {what} {name!r}: no training case has it",
                file=splits,
                expected="at least one training case with it",
                found=_where(counts, val, learnt[name]),
                remedy=_remedy(fold),
            )
            for name in absent
        )
    held_out = _together(counts, val, learnt)
    if val and not any(held_out.values()):
        return [
            f"none of the {len(val)} held-out cases of fold {fold} has foreground: validation "
            "cannot tell a good model from a bad one"
        ]
    return [
        f"no held-out case of fold {fold} has {what} {name!r}: it is trained, but not validated"
        for name in learnt
        if val and not held_out[name]
    ]


def require_in_each_fold(
    counts: Mapping[str, Sequence[int]],
    folds: Sequence[Mapping[str, Sequence[str]]],
    labels: LabelScheme,
    *,
    splits: Path,
) -> None:
    """Refuse folds of which one cannot be learnt, before the first is trained.

    Raises:
        InputErrors: naming every fold and what its training cases lack, see `require_foreground`.
    """
    found: list[InputError] = []
    for number, fold in enumerate(folds):
        try:
            require_foreground(
                counts, fold["train"], fold["val"], labels, splits=splits, fold=number
            )
        except InputErrors as errors:
            found += errors.problems
        except InputError as error:
            found.append(error)
    if found:
        raise InputErrors(found)


def _together(
    counts: Mapping[str, Sequence[int]],
    cases: Iterable[str],
    learnt: Mapping[str, Sequence[int]],
) -> dict[str, int]:
    rows = [counts[case] for case in cases]
    return {name: sum(row[i] for row in rows for i in of) for name, of in learnt.items()}


def _where(counts: Mapping[str, Sequence[int]], val: Sequence[str], indices: Sequence[int]) -> str:
    there = [case for case in val if any(counts[case][i] for i in indices)]
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
