"""LUNA16: CT of the chest, and a table of nodules.

::

    LUNA16/
      annotations.csv             seriesuid,coordX,coordY,coordZ,diameter_mm (mm, LPS)
      annotations_excluded.csv    optional: what counts in no score
      subset0/1.3.6.….mhd         to subset9: the folds; or images elsewhere, named by series
      seg-lungs-LUNA16/…          not read

The tables may also lie in ``CSVFILES/`` or ``evaluationScript/annotations/``. Instead of
MetaImages there may be folders of DICOM, which are found by their series. A scan that the table
does not name has no nodule. What is excluded counts as neither: nodules that fewer than 3 of 4
readers marked, those below 3 mm, and findings that are none, whose diameter is -1 and which count
as wide as in the challenge's evaluation, 10 mm.

Source: Setio et al. 2017, doi 10.1016/j.media.2017.06.015; luna16.grand-challenge.org.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from medseg.data.case import Case
from medseg.data.formats import files, series
from medseg.data.formats.channels import rename
from medseg.data.formats.drawn import Drawn, gather, part_notes, require_sound
from medseg.data.formats.layout import Layout, Recognition
from medseg.data.formats.options import FormatOptions
from medseg.data.formats.tables import header_of, read_table
from medseg.errors import InputError
from medseg.objects import ObjectRule

NAME = "luna16"
COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")
LOOKED_FOR = f"annotations.csv with the columns {', '.join(COLUMNS)}"
CHANNEL, CLASS = "CT", "nodule"

_FOLDERS = (".", "CSVFILES", "evaluationScript/annotations")
_UNSIZED = 10.0
_SUBSET = re.compile(r"subset(\d+)")
_VOLUMES = (".mhd", ".mha", ".nii.gz", ".nii", ".nrrd")


def recognise(root: Path) -> Recognition | None:
    """Say why ``root`` is LUNA16's, or return ``None``."""
    table = _table(root, "annotations.csv")
    if table is None or not is_table(table):
        return None
    return Recognition(NAME, f"{table} has the columns {', '.join(COLUMNS)}")


def is_table(path: Path) -> bool:
    """Tell whether a file is LUNA16's table of nodules."""
    columns = {column.lower() for column in COLUMNS}
    return path.name == "annotations.csv" and columns <= set(header_of(path))


def read(root: Path, *, channels: Sequence[str] | None, options: FormatOptions) -> Layout:
    """Read LUNA16.

    Raises:
        InputError: the table is missing or damaged, lists a nodule twice or without a size; there
            is no image, or the table is of none of them.
    """
    table = _table(root, "annotations.csv")
    if table is None:
        raise InputError("has no annotations.csv", file=root, expected=LOOKED_FOR)
    excluded = _table(root, "annotations_excluded.csv")
    images, patients = _images(root)
    drawn = nodules(table)
    other = nodules(excluded, ignored=True) if excluded else {}
    if drawn.keys().isdisjoint(images):
        raise InputError(
            "is of none of the images",
            file=table,
            expected=f"rows of {files.first_ten(sorted(images)[:2])}",
            found=files.first_ten(sorted(drawn)[:2]) or "no row",
            remedy="images are called as their series; complete the download",
        )
    cases = [
        Case(
            uid,
            (path,),
            group=patients.get(uid),
            annotation=gather(
                [*drawn.get(uid, ()), *other.get(uid, ())], "spheres", {CLASS: 0}, file=table
            ),
        )
        for uid, path in sorted(images.items())
    ]
    bare = [case.id for case in cases if case.annotation and not case.annotation.objects]
    beside = sum(len(case.annotation.ignored) for case in cases if case.annotation)
    notes = [*part_notes(sorted(drawn.keys() - images), "nodules")]
    if bare:
        notes.append(f"{files.count(len(bare), 'scan')} without a nodule")
    if beside:
        notes.append(f"{files.count(beside, 'excluded finding')}, which count in no score")
    return Layout(
        cases=tuple(cases),
        channels=rename((CHANNEL,), channels, source=root),
        values={CLASS: 1},
        notes=tuple(notes),
        splits=_splits(images),
        objects=ObjectRule("boxes"),
    )


def group(
    paths: Sequence[Path], *, channels: Sequence[str], options: FormatOptions
) -> tuple[Case, ...]:
    """Take each volume, and each folder of DICOM, as a case of its own."""
    return series.group(paths, channels=channels, options=options)


def nodules(table: Path, *, ignored: bool = False) -> dict[str, list[Drawn]]:
    """Read a table of spheres in mm by series, turned from LPS to RAS.

    Raises:
        InputError: it is damaged, or lists what is no sphere, or one twice.
    """
    found: dict[str, list[Drawn]] = {}
    for row in read_table(table, COLUMNS):
        x, y, z, diameter = (row.number_in(column) for column in COLUMNS[1:])
        diameter = _UNSIZED if ignored and diameter <= 0 else diameter
        one = Drawn(f"line {row.number}", CLASS, (-x, -y, z, diameter), ignored)
        found.setdefault(row.text_in("seriesuid"), []).append(one)
    for listed in found.values():
        # The challenge's own list of what is excluded repeats itself.
        require_sound(listed, "spheres", file=table, once=not ignored)
    return found


def _table(root: Path, name: str) -> Path | None:
    places = (root / folder / name for folder in _FOLDERS)
    return next((place for place in places if place.is_file()), None)


def _images(root: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the scan of each series, and the patient where DICOM says who it is."""
    subsets = [p for p in sorted(root.iterdir()) if _SUBSET.fullmatch(p.name) and p.is_dir()]
    found: dict[str, Path] = {}
    for path in (p for top in subsets or [root] for p in files.walk_images(top, depth=3)):
        inside = path.relative_to(root).parts[:-1]
        # The masks of lungs are called as the scans.
        if path.name.lower().endswith(_VOLUMES) and not any(p.startswith("seg") for p in inside):
            uid = files.stem_of(path)
            if uid in found:
                raise InputError(
                    "two files claim one series", file=root, found=f"{found[uid]} and {path}"
                )
            found[uid] = path
    if found:
        return found, {}
    headers = series.find(root)
    if not headers:
        raise InputError(
            "holds no image",
            file=root,
            expected="subset0/SERIESUID.mhd, or folders of DICOM files",
            remedy="complete the download",
        )
    return (
        {header.series: folder for folder, header in headers.items()},
        {header.series: header.patient for header in headers.values() if header.patient},
    )


def _splits(images: dict[str, Path]) -> tuple[dict[str, list[str]], ...]:
    folds: dict[int, list[str]] = {}
    for uid, path in images.items():
        match = next(filter(None, map(_SUBSET.fullmatch, reversed(path.parts[:-1]))), None)
        if match is None:
            return ()
        folds.setdefault(int(match[1]), []).append(uid)
    if len(folds) < 2:
        return ()
    return tuple(
        {"train": sorted(set(images) - set(held)), "val": sorted(held)}
        for _, held in sorted(folds.items())
    )
