"""The columns of a box list, by any of their usual names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from medseg.data.formats.tables import Line, header_of
from medseg.errors import InputError

_SERIES = ("seriesuid", "series_uid", "seriesinstanceuid", "series_instance_uid")
_IMAGE = ("image", "file", "filename", "case", "id", "patientid", *_SERIES)
_CLASS = ("class", "class_name", "label", "category")
_OBJECT = ("object", "object_id", "nodule_id", "lesion_id")
_LOWER = (("xmin", "x_min", "x1"), ("ymin", "y_min", "y1"))
_CORNERS = (*_LOWER, ("xmax", "x_max", "x2"), ("ymax", "y_max", "y2"))
_DEPTHS = (("zmin", "z_min", "z1"), ("zmax", "z_max", "z2"))
_SIZED = (("x",), ("y",), ("width", "w"), ("height", "h"))
_DEEP = (("z",), ("depth", "d"))
_SLICE = (("slice", "slice_number", "slice_index"),)
_LPS = (("coordx", "x_lps"), ("coordy", "y_lps"), ("coordz", "z_lps"), ("diameter_mm", "diameter"))
_RAS = (("x_ras",), ("y_ras",), ("z_ras",), ("diameter_mm", "diameter"))


class Columns(NamedTuple):
    """Which column says what.

    Attributes:
        image, kind, object: of the image, of the class, and of what tells one object's rows.
        how: form of the coordinates: ``corners``, ``sized``, ``lps`` or ``ras``.
        where: their columns.
    """

    image: str
    kind: str | None
    object: str | None
    how: str
    where: tuple[str, ...]


def looks_like_boxlist(path: Path) -> bool:
    """Tell whether a file is a table of boxes or of spheres."""
    return path.suffix.lower() in (".csv", ".tsv") and columns_of(header_of(path)) is not None


def require_classes(lines: Sequence[Line], kind: str | None) -> None:
    """Refuse rows without a class where others have one.

    Args:
        lines: the rows that have a box.
        kind: the column of the class, if there is one.

    Raises:
        InputError: naming the first of them; it would be of a class of its own.
    """
    if kind is None or not any(line.cells[kind] for line in lines):
        return
    bare = next((line for line in lines if not line.cells[kind]), None)
    if bare is not None:
        raise InputError(
            f"line {bare.number}: {kind} is empty",
            file=bare.file,
            expected="a class, as other rows have",
            found="a box without",
            remedy=f"say what it is; or leave the column {kind} out, where all are of one class",
        )


def columns_of(names: Sequence[str]) -> Columns | None:
    """Find the columns of a box list among names in lower case; ``None``: it is none."""

    def all_of(*wanted: Sequence[Sequence[str]]) -> tuple[str, ...] | None:
        every = [spellings for part in wanted for spellings in part]
        found = [next((s for s in spellings if s in names), None) for spellings in every]
        return tuple(name for name in found if name) if all(found) else None

    image = next((name for name in _IMAGE if name in names), None)
    forms = (
        ("corners", all_of(_CORNERS, _DEPTHS)),
        ("corners", all_of(_CORNERS, _SLICE)),
        ("corners", all_of(_CORNERS)),
        ("sized", all_of(_SIZED, _DEEP)),
        ("sized", all_of(_SIZED, _SLICE)),
        ("sized", all_of(_SIZED)),
        ("lps", all_of(_LPS)),
        ("ras", all_of(_RAS)),
    )
    how, where = next(((how, found) for how, found in forms if found), ("", None))
    if image is None or where is None:
        return None
    kind = next((name for name in _CLASS if name in names), None)
    one = next((name for name in _OBJECT if name in names), None)
    return Columns(image, kind, one, how, where)
