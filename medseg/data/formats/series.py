"""DICOM series: the folders that hold one, and what a single header says of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from medseg.data.case import Case
from medseg.data.formats import datalist
from medseg.data.formats.files import is_image
from medseg.data.formats.options import FormatOptions
from medseg.errors import InputError

SUFFIXES = (".dcm", ".ima", ".dicom")


class Header(NamedTuple):
    """Who and what a DICOM file is of; unset values are empty."""

    series: str
    patient: str
    modality: str


def is_slice(path: str | Path) -> bool:
    """Tell whether a name is that of a DICOM file."""
    name = os.path.basename(path).lower()  # noqa: PTH119  a Path for each slice takes minutes
    return name.endswith(SUFFIXES) and not name.startswith(".")


def slices_in(folder: Path) -> list[Path]:
    """Return the DICOM files directly in a folder, sorted by name."""
    with os.scandir(folder) as found:
        names = sorted(item.name for item in found if is_slice(item.name))
    return [folder / name for name in names]


def is_series(path: Path) -> bool:
    """Tell whether a path is a folder of DICOM files."""
    if not os.path.isdir(path):  # noqa: PTH112  Path.is_dir raises where a name is too long
        return False
    with os.scandir(path) as found:
        return any(is_slice(item.name) for item in found)


def walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield every folder below ``root`` and its files' names, sorted; hidden ones are left out."""
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield Path(folder), sorted(name for name in names if not name.startswith("."))


def find(root: Path) -> dict[Path, Header]:
    """Find the series below ``root``: one header is read of each.

    Raises:
        InputError: a file is no DICOM file.
    """
    found = {}
    for folder, names in walk(root):
        first = next((name for name in names if is_slice(name)), None)
        if first is not None:
            found[folder] = header_of(folder / first)
    return found


def group(
    paths: Sequence[Path], *, channels: Sequence[str], options: FormatOptions
) -> tuple[Case, ...]:
    """Take each DICOM series below the paths as a case, and other files as `datalist.group`."""
    cases: list[Case] = []
    for path in paths:
        found = [f for f, names in walk(path) if any(map(is_slice, names))]
        cases += [case_of(folder) for folder in found]
        if not found:
            cases += datalist.group([path], channels=channels, options=options)
    return tuple(cases)


def case_of(folder: Path) -> Case:
    """Make a case of a series, called as its folder."""
    unnamed = folder.name in ("", "..")
    return Case(folder.resolve().name if unnamed else folder.name, (folder,))


def only_series(path: Path) -> list[Path]:
    """Return the series in a folder or below it, if there is no other image."""
    found = []
    for folder, names in walk(path):
        if any(map(is_image, names)):
            return []
        if any(map(is_slice, names)):
            found.append(folder)
    return found


def header_of(path: Path) -> Header:
    """Read one file's header, no voxels.

    Raises:
        InputError: it is no DICOM file.
    """
    reader = open_header(path)
    return Header(*(value_of(reader, key) for key in ("0020|000e", "0010|0020", "0008|0060")))


def open_header(path: Path) -> Any:
    """Give SimpleITK's reader of a file whose header it has read.

    Raises:
        InputError: it is no DICOM file.
    """
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(
            "cannot be read as DICOM",
            file=path,
            found=" ".join(str(error).split())[-200:],
            remedy="fetch the file again, or remove it",
        ) from error
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)
    return reader


def value_of(reader: Any, key: str) -> str:
    """Return the text of an element (``0020|000e``) of an opened header, or nothing."""
    return str(reader.GetMetaData(key)).strip(" \0") if reader.HasMetaDataKey(key) else ""
