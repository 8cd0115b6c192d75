"""LIDC-IDRI: CT of the chest as DICOM, and what four readers marked in each, as XML.

::

    LIDC-IDRI/
      LIDC-IDRI-0001/STUDY/SERIES/1-001.dcm …
      LIDC-IDRI-0001/STUDY/SERIES/069.xml     or elsewhere: tcia-lidc-xml/157/158.xml

Files and series find each other by the series' number, however they lie. A nodule of at least
3 mm that two readers or more marked is an object; its box is that of the voxels that two of them
marked. Nodules of a single reader count in no score. Nodules below 3 mm and other findings, which
are points, are noted. A scan without an XML file is left out of the training, X-rays too. Scans of
a patient stay in one fold.

Source: Armato et al. 2011, doi 10.1118/1.3528204.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np

from medseg.data.annotation import Annotation
from medseg.data.case import Case
from medseg.data.formats import files, series
from medseg.data.formats.channels import rename
from medseg.data.formats.consensus import Marked, agreed, inside
from medseg.data.formats.drawn import part_notes
from medseg.data.formats.layout import Layout, Recognition
from medseg.data.formats.markup import number_of, read_xml, text_of
from medseg.data.formats.options import FormatOptions
from medseg.errors import InputError
from medseg.objects import ObjectRule

NAME = "lidc"
LOOKED_FOR = "folders of DICOM files, and XML files with <LidcReadMessage>"
CHANNEL, CLASS = "CT", "nodule"
READERS = 2

_ROOT = "LidcReadMessage"
# A look at a few folders of each level tells the collection, which has 240,000 files.
_FEW, _DEEPEST = 2, 5


class Reading(NamedTuple):
    """What an XML file says of a series.

    Attributes:
        series: its number.
        nodules: boxes of what enough readers marked, in the frame ``slices`` of `Annotation`.
        alone: boxes of the nodules that fewer marked.
        points: how many nodules below 3 mm and other findings were marked.
    """

    series: str
    nodules: list[tuple[float, ...]]
    alone: list[tuple[float, ...]]
    points: int


def recognise(root: Path) -> Recognition | None:
    """Say why ``root`` is LIDC-IDRI's, or return ``None``."""
    if not root.is_dir():
        return None
    document, scan = _look(root, 0)
    if document is None or scan is None:
        return None
    return Recognition(NAME, f"{document} is a reading of LIDC, {scan} holds DICOM files")


def read(root: Path, *, channels: Sequence[str] | None, options: FormatOptions) -> Layout:
    """Read LIDC-IDRI; one header of each series is opened.

    Raises:
        InputError: an XML file is damaged, two are of one series, a file is no DICOM, or no series
            has an XML file.
    """
    headers = {f: h for f, h in series.find(root).items() if h.modality in ("CT", "")}
    readings = _readings(root)
    there = {header.series for header in headers.values()}
    if there.isdisjoint(readings):
        raise InputError(
            "has no scan with its reading",
            file=root,
            expected=LOOKED_FOR,
            found=f"{len(there)} series of CT, {files.count(len(readings), 'reading')} of others",
            remedy="complete the download; a reading names its series in <SeriesInstanceUid>",
        )
    cases = _cases(headers, readings)
    return Layout(
        cases=cases,
        channels=rename((CHANNEL,), channels, source=root),
        values={CLASS: 1},
        notes=_notes(cases, [reading for uid, (_, reading) in readings.items() if uid in there])
        + part_notes(sorted(readings.keys() - there), "readings"),
        objects=ObjectRule("boxes"),
    )


def group(
    paths: Sequence[Path], *, channels: Sequence[str], options: FormatOptions
) -> tuple[Case, ...]:
    """Take each folder of DICOM, and each volume, as a case of its own."""
    return series.group(paths, channels=channels, options=options)


def read_document(path: Path, *, readers: int = READERS) -> Reading:
    """Read what the readers of one scan marked, and find what they agree on.

    Raises:
        InputError: the file is damaged, or lacks the series' number or a coordinate.
    """
    document = read_xml(path)
    uid = text_of(document, "ResponseHeader/SeriesInstanceUid", file=path, what="the reading")
    marks: list[Marked] = []
    points = 0
    for reader, session in enumerate(document.iter("readingSession")):
        points += len(session.findall("nonNodule"))
        for nodule in session.iter("unblindedReadNodule"):
            mark = _mark(nodule, reader, path)
            points += mark is None
            marks += [mark] if mark else []
    nodules, alone = agreed(marks, readers=readers)
    return Reading(uid, nodules, alone, points)


def _readings(root: Path) -> dict[str, tuple[Path, Reading]]:
    """Read every reading below ``root``, by series."""
    found: dict[str, tuple[Path, Reading]] = {}
    everything = (folder / name for folder, names in series.walk(root) for name in names)
    for path in everything:
        if path.suffix.lower() != ".xml":
            continue
        if not _is_reading(path):
            _require_markup(path)
            continue
        reading = read_document(path)
        first, known = found.setdefault(reading.series, (path, reading))
        # Copies lie beside the scans and in a folder of their own.
        if known != reading:
            raise InputError(
                "is of a series that another file is of",
                file=path,
                expected="one file for each series",
                found=f"{first}, of series {reading.series}",
                remedy="remove the one that is wrong",
            )
    return found


def _mark(nodule: Element, reader: int, path: Path) -> Marked | None:
    """Return the voxels of a nodule; ``None`` of one below 3 mm, which is a point."""
    what = f"nodule {(nodule.findtext('noduleID') or '?').strip()} of reader {reader + 1}"
    slices: dict[float, set[tuple[int, int]]] = {}
    holes: list[tuple[float, np.ndarray]] = []
    outlined = False
    for roi in nodule.iter("roi"):
        z = number_of(roi, "imageZposition", file=path, what=what)
        if not math.isfinite(z):
            raise InputError(
                f"{what} lies at no place",
                file=path,
                expected="a finite <imageZposition>",
                found=str(z),
                remedy="correct it, or remove the nodule",
            )
        outline = _outline(roi, what, path)
        outlined |= len(outline) > 1
        if text_of(roi, "inclusion", file=path, what=what).upper() == "FALSE":
            holes.append((z, outline))
            continue
        slices.setdefault(z, set()).update(map(tuple, inside(outline).tolist()))
    for z, outline in holes:
        if z in slices:
            slices[z] -= set(map(tuple, inside(outline).tolist()))
    if not outlined or not any(slices.values()):
        return None
    return Marked(reader, {z: np.array(sorted(found)) for z, found in slices.items() if found})


def _outline(roi: Element, what: str, path: Path) -> np.ndarray:
    try:
        pixels = roi.iter("edgeMap")
        points = [[int(e.findtext(k) or "") for k in ("xCoord", "yCoord")] for e in pixels]
    except ValueError as error:
        raise InputError(
            f"{what} has an <edgeMap> that is no pixel",
            file=path,
            expected="whole numbers in <xCoord> and <yCoord>",
            found=str(error)[:80],
        ) from error
    if not points or np.abs(points).max() > 10_000:
        raise InputError(
            f"{what} has an outline outside of any image",
            file=path,
            expected="<edgeMap> with the pixels of a slice",
            found=f"{len(points)} pixels",
        )
    return np.array(points)


def _cases(
    headers: Mapping[Path, series.Header], readings: Mapping[str, tuple[Path, Reading]]
) -> tuple[Case, ...]:
    scans = Counter(_patient(folder, header) for folder, header in headers.items())
    cases = []
    for folder, header in headers.items():
        patient = _patient(folder, header)
        # A few patients were scanned twice; their series tell the scans apart.
        name = patient if scans[patient] == 1 else f"{patient}_{header.series[-8:]}"
        found = readings.get(header.series)
        annotation = None
        if found is not None:
            path, reading = found
            classes = (0,) * len(reading.nodules)
            objects, alone = tuple(reading.nodules), tuple(reading.alone)
            annotation = Annotation("slices", objects, classes, path, alone)
        cases.append(Case(name, (folder,), group=patient, annotation=annotation))
    return tuple(cases)


def _patient(folder: Path, header: series.Header) -> str:
    return header.patient or folder.name


def _notes(cases: Sequence[Case], readings: Sequence[Reading]) -> tuple[str, ...]:
    unread = [case.id for case in cases if case.annotation is None]
    bare = [case.id for case in cases if case.annotation and not case.annotation.objects]
    alone, points = (sum(map(len, (r.alone for r in readings))), sum(r.points for r in readings))
    notes = []
    if unread:
        named = files.first_ten(unread)
        notes.append(f"{files.count(len(unread), 'scan')} without a reading: {named}")
    if bare:
        notes.append(f"{files.count(len(bare), 'scan')} without a nodule: {files.first_ten(bare)}")
    if alone:
        notes.append(
            f"{files.count(alone, 'nodule')} on which fewer than {READERS} readers agree, which "
            "count in no score"
        )
    if points:
        notes.append(f"{points} marks of nodules below 3 mm and of other findings, left out")
    return tuple(notes)


def _require_markup(path: Path) -> None:
    """Refuse what is called XML and is none: it may be a reading that was not copied whole."""
    try:
        with path.open("rb") as file:
            start = file.read(2048)
    except OSError as error:
        raise InputError("cannot be opened", file=path, found=str(error.strerror)) from error
    if b"<" not in start or (b"\0" in start and start[:2] not in (b"\xff\xfe", b"\xfe\xff")):
        raise InputError(
            "is no XML",
            file=path,
            expected="what a reader marked, <LidcReadMessage>, or another document",
            found=f"{path.stat().st_size} bytes" + (" that are no text" if start else ""),
            remedy="fetch it again, or remove it",
        )


def _is_reading(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _ROOT.encode() in file.read(2048)
    except OSError:
        return False


def _look(folder: Path, depth: int) -> tuple[Path | None, Path | None]:
    """Find a reading and a folder of DICOM, in a few folders of each level."""
    try:
        with os.scandir(folder) as found:
            inner = sorted((item.name, item.is_dir()) for item in found if item.name[0] != ".")
    except OSError:
        return None, None
    documents = [folder / name for name, _ in inner if name.lower().endswith(".xml")][:_FEW]
    document = next((path for path in documents if _is_reading(path)), None)
    scan = folder if any(series.is_slice(name) for name, _ in inner) else None
    below = [folder / name for name, is_folder in inner if is_folder]
    below = below if len(below) <= 2 * _FEW else [*below[:_FEW], *below[-_FEW:]]
    for path in below if depth < _DEEPEST else ():
        if document is not None and scan is not None:
            break
        other = _look(path, depth + 1)
        document, scan = document or other[0], scan or other[1]
    return document, scan
