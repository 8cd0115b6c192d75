"""Values in masks that the label preset does not have: which, in how many files, and whose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from medseg.data.case import Dataset
from medseg.data.formats import files
from medseg.data.formats.presets import PRESETS, fitting_values
from medseg.data.prepare.pool import map_cases
from medseg.data.prepare.reading import load_mask, mapped
from medseg.errors import InputError
from medseg.labels import UndeclaredValues

# Of a mask that holds more than that there is no telling what it is.
_MOST_VALUES = 32


def explain(error: UndeclaredValues, dataset: Dataset, *, workers: int = 0) -> InputError:
    """Say of all masks which undeclared values they hold, and which label preset has them.

    Args:
        error: what was raised for the first mask.
        dataset: whose masks are read, without their images.
        workers: processes.
    """
    jobs = [(case.id, (case.label, dict(dataset.value_map))) for case in dataset.cases]
    found = map_cases(values_in, jobs, workers=workers)
    held = {case.id: values for case, values in zip(dataset.cases, found, strict=True)}
    scheme = dataset.labels
    declared = {*scheme.values.values(), *([] if scheme.ignore is None else [scheme.ignore])}
    strange = {case: values - declared for case, values in held.items() if values - declared}
    if not strange:  # the file was changed meanwhile, or cannot be read again
        return error
    counts = Counter(value for values in strange.values() for value in values)
    everything = {value for values in held.values() for value in values if value}
    one = next((c for c in dataset.cases if c.id in strange), None) if len(strange) == 1 else None
    return InputError(
        f"case {one.id}: {error.message}"
        if one
        else f"{len(strange)} label files hold values that are not declared",
        file=one.label if one else dataset.root,
        expected=f"values {sorted(declared)}{_given(dataset)}",
        found=f"{_counted(counts, len(held))} ({files.first_ten(list(strange))}); in all "
        f"{_listed(sorted(everything))}",
        remedy=_remedy(dataset, sorted(everything)),
    )


def values_in(path: Path, value_map: Mapping[int, int]) -> frozenset[int]:
    """Return the whole numbers that a mask holds; none of a mask that cannot be read."""
    try:
        raw = load_mask(Path(path), value_map)
    except InputError:  # another mistake, for when this one is mended
        return frozenset()
    values = np.unique(mapped(raw.data[0], value_map))
    return frozenset(int(value) for value in np.rint(values[np.isfinite(values)]))


def fitting(dataset: Dataset, values: Sequence[int], *, exactly: bool = False) -> list[str]:
    """Return the presets that have these values, other than the one in use; empty: none known.

    Args:
        dataset: what its masks belong to.
        values: what they hold.
        exactly: leave out presets that have more values than these.
    """
    used = PRESETS.get(dataset.preset)
    family = used.family if used else dataset.format
    ids = [case.id for case in dataset.cases]
    found = fitting_values(values, ids, family=family)
    if exactly:
        found = [p for p in found if set(p.values.values()) == set(values)]
    return [p.name for p in found if used is None or not p.means_the_same(used)]


def _given(dataset: Dataset) -> str:
    if not dataset.preset:
        return ""
    return f", as the label preset {dataset.preset} ({PRESETS[dataset.preset].source}) has them"


def _counted(counts: Counter[int], files_in_all: int) -> str:
    named = [f"{value} in {count}" for value, count in sorted(counts.items())]
    return f"also {_listed(named)} of {files_in_all} files"


def _listed(items: Sequence[object]) -> str:
    shown = ", ".join(str(item) for item in items[:_MOST_VALUES])
    more = len(items) - _MOST_VALUES
    return f"{shown} and {more} more" if more > 0 else shown


def _remedy(dataset: Dataset, values: Sequence[int]) -> str:
    declare = "declare them under data.labels, or map them with data.value_map"
    fits = fitting(dataset, values)
    if not fits:
        return declare
    have = "has" if len(fits) == 1 else "have"
    return f"data.labels={fits[0]} ({', '.join(fits)} {have} the values found); or {declare}"
