"""EchoNet-Dynamic: echocardiograms, with the left ventricle traced in two frames of each.

::

    EchoNet-Dynamic/
      FileList.csv            FileName, …, Split: TRAIN, VAL or TEST
      VolumeTracings.csv      FileName, X1, Y1, X2, Y2, Frame: 21 chords for each traced frame
      Videos/0X1A2B.avi

Networks learn from pictures, so the traced frames are cut out of the videos first
(`medseg.data.prepare.echonet`): a recipe with ``data.format: echonet`` does it once, into its run
folder. ``VAL`` validates, ``TEST`` is kept out of the training, and the frames of a video stay
together.

Source: Ouyang et al. 2020, doi 10.1038/s41586-020-2145-8; echonet.github.io/dynamic.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg.data.case import Case
from medseg.data.formats import datalist, files
from medseg.data.formats.layout import Layout, Recognition
from medseg.data.formats.options import FormatOptions
from medseg.errors import InputError

NAME = "echonet"
LOOKED_FOR = "FileList.csv, VolumeTracings.csv and the folder Videos/"
LABELS = {"background": 0, "left ventricle": 1}
LIST, TRACINGS, VIDEOS = "FileList.csv", "VolumeTracings.csv", "Videos"

_COORDINATES = ("X1", "Y1", "X2", "Y2")
_SPLITS = {"TRAIN": "train", "VAL": "val", "TEST": "test"}

# (x1, y1, x2, y2) in pixels
Chord = tuple[float, float, float, float]


@dataclass(frozen=True)
class Video:
    """One echocardiogram.

    Attributes:
        name: without suffix.
        path: the file.
        split: ``train``, ``val`` or ``test``.
        tracings: frame number, from 0 -> its chords in the order of the file: the long axis of the
            ventricle, then the chords across it from one end to the other.
    """

    name: str
    path: Path
    split: str
    tracings: dict[int, tuple[Chord, ...]]


def recognise(root: Path) -> Recognition | None:
    """Say why ``root`` is EchoNet-Dynamic's, or return ``None``."""
    if not all((root / name).is_file() for name in (LIST, TRACINGS)):
        return None
    return Recognition(NAME, f"{root} holds {LIST} and {TRACINGS}")


def read(root: Path, *, channels: Sequence[str] | None, options: FormatOptions) -> Layout:
    """Refuse: the frames lie within videos.

    Raises:
        InputError: always, with the way to cut them out.
    """
    raise InputError(
        "holds videos, whose traced frames must be cut out before they can be read",
        file=root,
        remedy="in a recipe, data.format: echonet does it; in Python, "
        "medseg.data.prepare.echonet.extract(root, folder), then read folder as datalist",
    )


def group(
    paths: Sequence[Path], *, channels: Sequence[str], options: FormatOptions
) -> tuple[Case, ...]:
    """Take each picture as a case of its own."""
    return datalist.group(paths, channels=channels, options=options)


def videos(root: Path) -> tuple[list[Video], tuple[str, ...]]:
    """Read which videos there are and what is traced in them.

    Returns:
        The videos with tracings, and what was odd, in words: some have none.

    Raises:
        InputError: a table is missing, damaged or lacks a column; videos are not there; no video
            has tracings.
    """
    listed, traced = _listed(root), _traced(root)
    there = {path.name for path in (root / VIDEOS).glob("*.avi")}
    for source, names in ((LIST, listed), (TRACINGS, traced)):
        absent = sorted(f"{name}.avi" for name in names if f"{name}.avi" not in there)
        if absent:
            raise InputError(
                f"speaks of {files.count(len(absent), 'video')} that cannot be found",
                file=root / source,
                expected=f"a file in {VIDEOS}/ for each",
                found=f"missing: {files.first_ten(absent)}",
                remedy="complete the download, or remove the rows",
            )
    found = [
        Video(name, root / VIDEOS / f"{name}.avi", split, traced[name])
        for name, split in sorted(listed.items())
        if name in traced
    ]
    if not found:
        raise InputError(
            f"no video of {LIST} has tracings, so there is nothing to learn from",
            file=root / TRACINGS,
            expected=files.first_ten(sorted(listed)),
            found=files.first_ten(sorted(traced)),
            remedy="take both tables from the same download",
        )
    odd = (
        ("without tracings", sorted(listed.keys() - traced.keys())),
        (f"with tracings that {LIST} does not list", sorted(traced.keys() - listed.keys())),
    )
    return found, tuple(
        f"{files.count(len(names), 'video')} {what}, left out: {files.first_ten(names)}"
        for what, names in odd
        if names
    )


def _listed(root: Path) -> dict[str, str]:
    path = root / LIST
    listed: dict[str, str] = {}
    for line, row in _rows(path, ("FileName", "Split")):
        name = row["FileName"].strip().removesuffix(".avi")
        split = _SPLITS.get(row["Split"].strip().upper())
        if split is None or not name or "/" in name or "\\" in name:
            raise InputError(
                f"line {line} does not give a video and its split",
                file=path,
                expected=f"a file name, and {', '.join(_SPLITS)}",
                found=f"{row['FileName']!r}, {row['Split']!r}",
            )
        if name in listed:
            raise InputError(f"line {line}: lists {name} twice", file=path)
        listed[name] = split
    return listed


def _traced(root: Path) -> dict[str, dict[int, tuple[Chord, ...]]]:
    path = root / TRACINGS
    traced: dict[str, dict[int, tuple[Chord, ...]]] = {}
    for line, row in _rows(path, ("FileName", "Frame", *_COORDINATES)):
        name = row["FileName"].strip().removesuffix(".avi")
        frame = files.as_int(row["Frame"], what=f"line {line}: Frame", source=path)
        try:
            x1, y1, x2, y2 = (float(row[key]) for key in _COORDINATES)
        except ValueError as error:
            raise InputError(
                f"line {line}: a coordinate is no number", file=path, found=str(error)
            ) from error
        frames = traced.setdefault(name, {})
        frames[frame] = (*frames.get(frame, ()), (x1, y1, x2, y2))
    return traced


def _rows(path: Path, wanted: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines)
            lacking = [key for key in wanted if key not in (table.fieldnames or ())]
            if lacking:
                raise InputError(
                    f"lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}",
                    file=path,
                    found=", ".join(table.fieldnames or ()) or "no header",
                )
            rows = [(table.line_num, {key: row[key] or "" for key in wanted}) for row in table]
    except OSError as error:
        raise InputError("cannot be opened", file=path, found=str(error.strerror)) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("is not a CSV file in UTF-8", file=path, found=str(error)) from error
    if not rows:
        raise InputError(
            "lists nothing below its header",
            file=path,
            expected=f"rows of {', '.join(wanted)}",
            found="a header alone",
            remedy="complete the download: without tracings there is nothing to learn from",
        )
    return rows
