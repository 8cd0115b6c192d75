"""Whether a fold has something to learn: every class, or region, among its training cases.

Of a segmentation voxels are counted, of a detection objects: two classes may share a box, and a
mask may hold voxels that are too few for an object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from medseg.errors import InputError, InputErrors
from medseg.labels import LabelScheme
from medseg.planning.fingerprint import Fingerprint

_MOST_NAMES = 5


class Counted(NamedTuple):
    """How much each case has of each class.

    Attributes:
        amounts: case id -> voxels per label index, or objects per class, background first.
        labels: what the indices mean.
        of: ``voxels`` or ``objects``.
    """

    amounts: Mapping[str, Sequence[int]]
    labels: LabelScheme
    of: str = "voxels"


def objects_in(found: Fingerprint) -> Counted:
    """Count the objects of each class, or region, in every case."""
    names = LabelScheme.from_dict(found.labels).foreground
    amounts: dict[str, list[int]] = {}
    for case in found.cases:
        row = amounts.setdefault(case.id, [0] * (len(names) + 1))
        for one in case.objects or ():
            row[int(one[0]) + 1] += 1
    return Counted(amounts, LabelScheme({n: i for i, n in enumerate(names, start=1)}), "objects")


def require_foreground(
    counted: Counted,
    train: Sequence[str],
    val: Sequence[str],
    *,
    splits: Path,
    fold: int | str,
) -> list[str]:
    """Refuse a fold whose training cases lack a class, or a region.

    Args:
        counted: voxels, or objects, in each case.
        train: ids of the cases to train on.
        val: ids of those held out.
        splits: the file that says which case is where.
        fold: its number, or ``all``.

    Returns:
        Warnings about the held-out cases, one sentence each.

    Raises:
        InputError: no training case has any foreground; `InputErrors` names each class, or region,
            that none of them has.
    """
    counts, labels, of = counted
    learnt = dict(zip(labels.foreground, labels.region_indices(), strict=True))
    thing = "foreground" if of == "voxels" else "an object"
    what = "region" if labels.regions else "class"
    trained = _together(counts, train, learnt)
    if not any(trained.values()):
        raise InputError(
            f"fold {fold} has nothing to learn: no training case has {thing}",
            file=splits,
            expected=f"{of} of {', '.join(learnt)}",
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
            f"none of the {len(val)} held-out cases of fold {fold} has {thing}: validation "
            "cannot tell a good model from a bad one"
        ]
    return [
        f"no held-out case of fold {fold} has {what} {name!r}: it is trained, but not validated"
        for name in learnt
        if val and not held_out[name]
    ]


def require_in_each_fold(
    counted: Counted,
    folds: Sequence[Mapping[str, Sequence[str]]],
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
            require_foreground(counted, fold["train"], fold["val"], splits=splits, fold=number)
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
