"""Which case is where: folds that keep a patient together, and the ``splits.json`` that says so.

``splits.json`` is a list with one entry per fold, ``{"train": [ids], "val": [ids]}``; nnU-Net's
``splits_final.json`` has the same form.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from medseg.atomic import write_text
from medseg.data.case import Case
from medseg.data.stratification import deal
from medseg.errors import InputError, did_you_mean

Split = dict[str, list[str]]
T = TypeVar("T")


def evenly(items: Sequence[T], most: int | None) -> list[T]:
    """Take at most so many items, evenly spread over all; ``None``: all of them."""
    count = len(items) if most is None else min(most, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def make_splits(
    cases: Sequence[Case],
    folds: int,
    *,
    seed: int = 12345,
    labels: Mapping[str, Collection[str]] | None = None,
) -> list[Split]:
    """Deal the cases out to folds; every case is validated exactly once.

    Cases of one ``group`` stay together, and the folds are equally large as far as the groups let
    them. Where labels occur in some cases only, each fold gets its share of them, see
    `medseg.data.stratification.deal`. The result depends on ids, groups, labels and ``seed`` only,
    not on the cases' order.

    Args:
        cases: the labelled cases.
        folds: number of folds, at least 2.
        seed: nnU-Net's default.
        labels: case id -> the labels that occur in it; ``None`` counts all cases as alike.

    Raises:
        InputError: fewer than two folds, or fewer groups than folds.
    """
    if folds < 2:
        raise InputError(
            "data.folds must be at least 2",
            found=str(folds),
            remedy="to train on every case, without validation: data.fold=all",
        )
    groups: dict[str, list[str]] = {}
    for case in sorted(cases, key=lambda c: c.id):
        groups.setdefault(_group_of(case), []).append(case.id)
    grouped = len(groups) != len(cases)
    if len(groups) < folds:
        raise InputError(
            f"{len(cases)} case{'s' * (len(cases) != 1)}"
            + (f" of {len(groups)} patient{'s' * (len(groups) != 1)}" if grouped else "")
            + f" cannot fill {folds} folds",
            expected=f"at least {folds}",
            found=", ".join(sorted(groups)[:10]) or "none",
            remedy="train on every case, without validation: data.fold=all"
            + (f"; or data.folds={len(groups)}" if len(groups) > 1 else "")
            + ("; or correct who the patient is: data.group_pattern" if grouped else ""),
        )
    names = sorted(groups)
    order = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    # Large groups first, while folds have room; the sort is stable, so equals stay shuffled.
    order.sort(key=lambda name: -len(groups[name]))
    val = deal(groups, folds, order=order, labels=labels)
    everyone = [case_id for members in groups.values() for case_id in members]
    return [
        {"train": sorted(set(everyone) - set(held_out)), "val": sorted(held_out)}
        for held_out in val
    ]


def read_splits(path: str | Path, cases: Sequence[Case]) -> list[Split]:
    """Read and check a split file.

    Cases that no fold mentions are left out.

    Raises:
        InputError: it is not a list as described above, names unknown cases, has a case twice, an
            empty part, or a patient (group) in both training and validation.
    """
    path = Path(path)
    try:
        state = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(
            "cannot be opened", file=path, found=str(error.strerror), remedy="correct data.splits"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError("is not JSON", file=path, found=str(error)) from error
    if not isinstance(state, list) or not state:
        raise InputError(
            "is not a list of folds",
            file=path,
            expected='[{"train": [ids], "val": [ids]}, …]',
            found=type(state).__name__ if state != [] else "an empty list",
        )
    return check_splits([_fold(path, i, entry) for i, entry in enumerate(state)], cases, file=path)


def check_splits(
    splits: Sequence[Mapping[str, Sequence[str]]],
    cases: Sequence[Case],
    *,
    file: str | Path | None = None,
) -> list[Split]:
    """Hold splits against the cases; raises as `read_splits` does."""
    group = {case.id: _group_of(case) for case in cases}
    checked: list[Split] = []
    for i, fold in enumerate(splits):
        train, val = list(fold["train"]), list(fold["val"])
        unknown = [name for name in [*train, *val] if name not in group]
        if unknown:
            hint = did_you_mean(unknown[0], group)
            raise InputError(
                f"fold {i} names {_count(unknown)} unknown",
                file=file,
                expected="ids of labelled cases",
                found=_first_ten(unknown) + (f"; {hint}" if hint else ""),
            )
        twice = sorted({n for part in (train, val) for n, k in Counter(part).items() if k > 1})
        both = sorted(set(train) & set(val))
        if twice or both:
            raise InputError(
                f"fold {i} has a case "
                + ("in both training and validation" if both else "more than once"),
                file=file,
                found=_first_ten(both or twice),
            )
        if not train or not val:
            raise InputError(
                f"fold {i} has no case for {'training' if not train else 'validation'}",
                file=file,
                remedy="to train on every case, without validation: data.fold=all",
            )
        shared = sorted({group[n] for n in train} & {group[n] for n in val})
        if shared:
            raise InputError(
                f"fold {i} has a patient in both training and validation",
                file=file,
                expected="all cases of a group on one side",
                found=_first_ten(shared),
                remedy="hold out all cases of a patient or none (data.held_out, data.splits), or "
                "correct who the patient is (data.group_pattern)",
            )
        checked.append({"train": sorted(train), "val": sorted(val)})
    return checked


def write_splits(path: str | Path, splits: Sequence[Mapping[str, Sequence[str]]]) -> None:
    """Write ``splits.json`` whole or not at all."""
    path = Path(path)
    plain = [{part: list(fold[part]) for part in ("train", "val")} for fold in splits]
    write_text(path, json.dumps(plain, indent=1))


def _group_of(case: Case) -> str:
    return case.group if case.group is not None else case.id


def _fold(path: Path, index: int, entry: Any) -> Split:
    if not isinstance(entry, Mapping) or not {"train", "val"} <= set(entry):
        found = list(entry) if isinstance(entry, Mapping) else type(entry).__name__
        raise InputError(f"fold {index} needs 'train' and 'val'", file=path, found=str(found))
    for part in ("train", "val"):
        if not isinstance(entry[part], list) or not all(isinstance(n, str) for n in entry[part]):
            raise InputError(f"fold {index}: {part!r} must be a list of case ids", file=path)
    return {"train": entry["train"], "val": entry["val"]}


def _count(names: Sequence[str]) -> str:
    return f"{len(names)} {'case that is' if len(names) == 1 else 'cases that are'}"


def _first_ten(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" … and {len(names) - 10} more" if len(names) > 10 else "")
