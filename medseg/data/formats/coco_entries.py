"""The entries of a COCO file, checked one by one; messages name their place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medseg.data.formats import files
from medseg.data.formats.drawn import Drawn, require_sound, shape_of
from medseg.errors import InputError
from medseg.geometry.boxes import from_coco


def _entries(table: Mapping[str, Any], key: str, source: Path, *wanted: str) -> Iterator[tuple]:
    """Yield the place of each entry, and the values that it must have."""
    for index, entry in enumerate(table[key]):
        where = f"{key}[{index}]"
        lacking = [name for name in wanted if not isinstance(entry, dict) or name not in entry]
        if lacking:
            raise InputError(
                f"{where} lacks {', '.join(lacking)}",
                file=source,
                expected=", ".join(wanted),
                found=repr(entry)[:80],
            )
        yield where, *(entry[name] for name in wanted), entry


def categories(tables: Mapping[Path, Mapping[str, Any]]) -> tuple[list[str], dict[int, str]]:
    """Return the classes in the order of their ids, and the name of each id.

    Args:
        tables: contents of the files that make up a data set.

    Raises:
        InputError: there is none, one has no name, or two share a name or an id.
    """
    known: dict[int, str] = {}
    for source, table in tables.items():
        for where, number, name, _ in _entries(table, "categories", source, "id", "name"):
            number = files.as_int(number, what=f"{where}: id", source=source)
            name = _name(name, where, source)
            if known.setdefault(number, name) != name:
                raise InputError(
                    f"{where}: category {number} has two names",
                    file=source,
                    expected=known[number],
                    found=name,
                )
    names = [known[number] for number in sorted(known)]
    if not names or len(set(names)) < len(names):
        raise InputError(
            "must have categories, each of its own name",
            file=next(iter(tables)),
            found=files.first_ten(names) or "none",
        )
    return names, known


def _name(name: Any, where: str, source: Path) -> str:
    if not isinstance(name, str) or not name.strip():
        raise InputError(
            f"{where} has no name",
            file=source,
            expected='text, such as "name": "cell"',
            found=repr(name)[:80],
            remedy="name it, or remove the category and its annotations",
        )
    return name.strip()


class Picture(NamedTuple):
    """Where a picture lies, and how many rows and columns it is said to have."""

    path: Path
    shape: tuple[int, ...] | None


def pictures(table: Mapping[str, Any], source: Path, bases: Sequence[Path]) -> dict[int, Picture]:
    """Find the pictures of a file, by id.

    Args:
        table: content of the file.
        source: the file, for messages.
        bases: folders in which they may lie, the likeliest first.

    Raises:
        InputError: one is not there, or outside of these folders, or an id is not its own.
    """
    found: dict[int, Picture] = {}
    absent = []
    for where, number, name, entry in _entries(table, "images", source, "id", "file_name"):
        number = files.as_int(number, what=f"{where}: id", source=source)
        if number in found:
            raise InputError(f"{where}: a second picture with the id {number}", file=source)
        places = [files.inside(base, name, source=source) for base in bases]
        place = next(filter(files.is_there, places), places[0])
        found[number] = Picture(place, shape_of(*_sides(entry)))
        if not files.is_there(place):
            absent.append(str(name))
    if absent:
        raise InputError(
            f"lists {files.count(len(absent), 'picture')} that cannot be found",
            file=source,
            expected=f"below {', '.join(str(base) for base in bases)}",
            found=f"missing: {files.first_ten(absent)}",
            remedy="complete the download",
        )
    return found


def _sides(entry: Mapping[str, Any]) -> Iterator[float | None]:
    for key in ("height", "width"):
        side = entry.get(key)
        yield side if type(side) in (int, float) else None


def drawn(
    table: Mapping[str, Any], source: Path, images: Mapping[int, Picture], names: Mapping[int, str]
) -> dict[int, list[Drawn]]:
    """Read the boxes of each picture, by its id.

    Args:
        table: content of the file.
        source: the file, for messages.
        images: see `pictures`.
        names: see `categories`.

    Raises:
        InputError: one is of an unknown picture or class, or is no box.
    """
    found: dict[int, list[Drawn]] = {}
    wanted = ("image_id", "category_id", "bbox")
    for where, image, category, box, entry in _entries(table, "annotations", source, *wanted):
        image = files.as_int(image, what=f"{where}: image_id", source=source)
        category = files.as_int(category, what=f"{where}: category_id", source=source)
        if image not in images:
            raise InputError(
                f"{where} is of a picture that is not listed",
                file=source,
                expected="image_id as the id of an entry under 'images'",
                found=str(image),
            )
        if category not in names:
            raise InputError(
                f"{where} is of an unknown class",
                file=source,
                expected=", ".join(f"{n} ({name})" for n, name in sorted(names.items())),
                found=f"category_id {category}",
                remedy="add it to 'categories', or correct the annotation",
            )
        crowd = _is_crowd(entry.get("iscrowd"), where, source)
        one = Drawn(where, names[category], _corners(box, where, source), crowd)
        found.setdefault(image, []).append(one)
    for listed in found.values():
        require_sound(listed, "voxels", file=source)
    return found


def _corners(box: Any, where: str, source: Path) -> tuple[float, ...]:
    numbers = box if isinstance(box, list) else []
    if len(numbers) != 4 or not all(type(number) in (int, float) for number in numbers):
        raise InputError(
            f"{where}: bbox is no box",
            file=source,
            expected="[x, y, width, height]",
            found=repr(box)[:80],
        )
    with np.errstate(over="ignore", invalid="ignore"):  # what has no end is refused by its place
        return tuple(from_coco([list(map(_float, numbers))])[0].tolist())


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # whole numbers of JSON may be larger than any float
        return math.inf


def _is_crowd(said: Any, where: str, source: Path) -> bool:
    if said is None or isinstance(said, bool):
        return bool(said)
    number = files.as_int(said, what=f"{where}: iscrowd", source=source)
    return number != 0
