"""Read the outlines that ``medseg predict --instances`` wrote beside its boxes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medseg.data.prepare.reading import check_same_grid, load_mask
from medseg.errors import InputError, did_you_mean
from medseg.geometry import Grid


def outlines_beside(boxes: Path) -> tuple[Path, Path] | None:
    """Find the map and the table of a case's outlines beside its file of boxes."""
    name = boxes.name.removesuffix(".json") + "_instances"
    table = boxes.with_name(f"{name}.json")
    maps = [p for p in boxes.parent.iterdir() if p.name.startswith(f"{name}.") and p != table]
    return (maps[0], table) if table.is_file() and len(maps) == 1 else None


def read_outlines(
    file: Path, table: Path, grid: Grid, *, classes: Sequence[str]
) -> list[np.ndarray]:
    """Read what was outlined in an image: of each class a map int32 ``(*S)`` of its objects.

    Args:
        file: the map of numbers.
        table: says which class each number is of.
        grid: of the image.
        classes: names.

    Raises:
        InputError: a file cannot be read or is none; the map lies on another grid, or has a number
            that the table does not name; or a class is unknown.
    """
    raw = load_mask(file)
    check_same_grid(raw.grid, file, like=grid, like_file=None, what="instance map")
    values = np.rint(raw.data[0]).astype(np.int64)
    named = _table(table)
    unknown = next((name for name in named.values() if name not in classes), None)
    if unknown is not None:
        raise InputError(
            f"there is no class {unknown!r}",
            file=table,
            expected=", ".join(classes),
            found=unknown,
            remedy=did_you_mean(unknown, classes) or None,
        )
    nameless = sorted(set(np.unique(values).tolist()) - {0} - named.keys())
    if nameless:
        raise InputError(
            "the map has numbers that its table does not name",
            file=file,
            expected=f"those in {table.name}",
            found=", ".join(map(str, nameless[:10])),
            remedy="predict anew",
        )
    return [
        np.where(np.isin(values, [v for v, of in named.items() if of == name]), values, 0).astype(
            np.int32
        )
        for name in classes
    ]


def _table(path: Path) -> dict[int, str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {int(one["value"]): str(one["class"]) for one in content["instances"]}
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        raise InputError(
            "this does not say what outlines are of",
            file=path,
            expected="instances, each with value and class",
            found=f"{type(error).__name__}: {error}",
            remedy="predict anew, with --instances",
        ) from error
