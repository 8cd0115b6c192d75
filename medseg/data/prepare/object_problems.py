"""What is wrong or odd about the objects of a data set, from its fingerprint alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import numpy as np

from medseg.data.case import Dataset
from medseg.data.formats.files import count
from medseg.errors import InputError, InputErrors
from medseg.labels import LabelScheme
from medseg.planning.fingerprint import Fingerprint

_RARE = 0.1
# Below this many voxels per axis a box has no shape: a shift by half a voxel misses the IoU of 0.5.
_TINY_VOXELS = 3.0
_MOST_NAMES = 5


def check_objects(fingerprint: Fingerprint, dataset: Dataset) -> None:
    """Refuse objects that cannot be learnt from.

    Args:
        fingerprint: of ``dataset``.
        dataset: says what an object is.

    Raises:
        InputErrors: naming every class that no image has an object of.
        InputError: no image has any.
    """
    rule = dataset.objects
    assert rule is not None
    names = LabelScheme.from_dict(fingerprint.labels).foreground
    cases = [case for case in fingerprint.cases if case.objects is not None]
    seen = {int(one[0]) for case in cases for one in case.objects or ()}
    if not seen:
        raise InputError(
            "no image has an object",
            file=dataset.root,
            expected=f"objects of {', '.join(names)}",
            found=f"none in {count(len(cases), 'image')}",
            remedy="check data.labels; of masks, detection.smallest and detection.objects",
        )
    absent = [name for number, name in enumerate(names) if number not in seen]
    there = {names[number]: place for place, number in enumerate(sorted(seen), start=1)}
    if absent:
        raise InputErrors(
            [
                InputError(
                    f"no image has an object of class {name!r}",
                    file=dataset.root,
                    expected="at least one",
                    found=f"{count(len(fingerprint.object_sizes), 'object')} of "
                    + ", ".join(names[number] for number in sorted(seen)),
                    remedy="leave it out: "
                    + (
                        "of data.labels, or data.regions"
                        if rule.source == "components"
                        else f"data.labels={_mapping(there)}"
                    ),
                )
                for name in absent
            ]
        )


def object_problems(fingerprint: Fingerprint) -> Iterable[str]:
    """Name what a user should know about the objects before training; nothing here stops it."""
    cases = [case for case in fingerprint.cases if case.objects is not None]
    if not cases:
        return
    names = LabelScheme.from_dict(fingerprint.labels).foreground
    empty = [case.id for case in cases if not case.objects]
    if empty:
        yield f"nothing is to be found in {_names(empty)}: they count as negatives"
    for number, name in enumerate(names):
        own = [[one[1:] for one in case.objects or () if one[0] == number] for case in cases]
        having = sum(map(bool, own))
        if 0 < having < _RARE * len(cases):
            yield f"objects of class {name!r} are rare: in {having} of {count(len(cases), 'image')}"
        sizes = [
            min(np.divide(size, case.spacing))
            for case, sizes in zip(cases, own, strict=True)
            for size in sizes
        ]
        if sizes and np.median(sizes) < _TINY_VOXELS:
            yield (
                f"objects of class {name!r} are tiny: {np.median(sizes):.2g} voxels across in the "
                "median"
            )


def _mapping(values: Mapping[str, int]) -> str:
    """Write labels as a recipe takes them."""
    return json.dumps(values, ensure_ascii=False)


def _names(ids: list[str]) -> str:
    shown = ", ".join(ids[:_MOST_NAMES])
    return shown if len(ids) <= _MOST_NAMES else f"{shown} and {len(ids) - _MOST_NAMES} more"
