"""The objects of a few cases, for a guess before everything is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from medseg.data.case import Case, Dataset
from medseg.data.prepare.headers import grid_of
from medseg.data.prepare.objects import read_objects, sizes_of
from medseg.data.prepare.preprocess import plan_reorient
from medseg.data.prepare.reading import read_image
from medseg.data.splits import evenly
from medseg.geometry import Grid
from medseg.geometry.boxes import Boxes

# Boxes are known but for their image's header; masks are read, with their image.
_LISTED, _READ = 32, 4

Sizes = tuple[tuple[float, ...], ...]


def few_objects(dataset: Dataset) -> list[Sizes]:
    """Give the objects of some cases, as `CaseFingerprint.objects` has them.

    More cases than a few are looked at as long as none of them has an object.

    Args:
        dataset: whose objects are to be found.

    Raises:
        InputError: a file cannot be read, or an annotation does not fit its image.
    """
    assert dataset.objects is not None
    listed = dataset.objects.source == "boxes"
    look = _listed if listed else _reader(dataset)
    most, found = (_LISTED if listed else _READ), list[Sizes]()
    for case in _in_order(dataset.cases, most):
        if len(found) >= most and any(found):
            break
        found.append(look(case))
    return found


def _in_order(cases: Sequence[Case], few: int) -> Iterator[Case]:
    """Yield some of all cases first, those that are known to have objects."""
    having = [case for case in cases if case.annotation is None or case.annotation.objects]
    some = evenly(having or cases, few)
    seen = {case.id for case in some}
    yield from some
    yield from (case for case in cases if case.id not in seen)


def _listed(case: Case) -> Sizes:
    grid = grid_of(Path(case.images[0]))
    boxes = Boxes.none(grid.ndim) if case.annotation is None else case.annotation.boxes(grid)
    return sizes_of(boxes, grid.spacing, canonical_axes(grid))


def _reader(dataset: Dataset) -> Callable[[Case], Sizes]:
    rule, labels, value_map = dataset.objects, dataset.labels, dataset.value_map
    assert rule is not None

    def look(case: Case) -> Sizes:
        volume = read_image(case, channels=len(dataset.channels))
        found = read_objects(case, volume, rule, labels, value_map=value_map)
        return sizes_of(found.boxes, volume.grid.spacing, canonical_axes(volume.grid))

    return look


def canonical_axes(grid: Grid) -> Sequence[int]:
    """Give the order of axes in which plans are made."""
    return range(grid.ndim) if grid.ndim == 2 else plan_reorient(grid, "RAS").axes
