"""A folder of DICOM files, one axial, sagittal … slice each, as one volume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medseg.data.formats.files import first_ten
from medseg.data.formats.series import open_header, slices_in, value_of
from medseg.data.prepare.itk import LPS_TO_RAS, quiet
from medseg.data.prepare.raw import Raw
from medseg.errors import InputError
from medseg.geometry import Grid

# Of the distance between slices: positions are written with few digits.
_TOLERANCE = 0.05
_SERIES, _POSITION, _ORIENTATION = "0020|000e", "0020|0032", "0020|0037"
_PIXEL_SPACING, _THICKNESS = "0028|0030", "0018|0050"


class Slices(NamedTuple):
    """A series as its headers describe it.

    Attributes:
        files: in the order of their positions, along the normal of the slices.
        grid: of the volume: i along the rows, j down the columns, k from slice to slice.
        notes: what is odd about it, in words.
    """

    files: tuple[Path, ...]
    grid: Grid
    notes: tuple[str, ...] = ()


class _Header(NamedTuple):
    file: Path
    series: str
    size: tuple[int, int]
    spacing: tuple[float, float]
    axes: np.ndarray
    position: np.ndarray
    thickness: float


def read(folder: Path) -> Raw:
    """Read a series as ``(1, I, J, K)``, in Hounsfield units where the headers scale to them.

    Raises:
        InputError: see `slices_of`; or a file is damaged.
    """
    import SimpleITK as sitk

    found = slices_of(folder)
    planes = []
    with quiet():
        # One by one: a series may scale each slice by itself.
        for path in found.files:
            image = sitk.ReadImage(str(path), imageIO="GDCMImageIO")
            if image.GetNumberOfComponentsPerPixel() > 1:
                raise InputError(
                    "holds colours", file=path, expected="one number per voxel, as of CT or MR"
                )
            planes.append(sitk.GetArrayFromImage(image)[0].T)
    data = np.stack(planes, axis=-1)[None]
    return Raw(data, found.grid, data.dtype.name, found.notes)


def slices_of(folder: Path) -> Slices:
    """Sort a series by where its slices lie; headers only.

    A gantry's tilt, slices that are shifted against each other, gives axes that are not at right
    angles, and a note.

    Raises:
        InputError: the folder has no DICOM file, or files of several series; a header lacks its
            position; the slices differ in size, spacing or direction, lie at one place, or one
            is missing between others.
    """
    files = slices_in(folder)
    if not files:
        raise InputError(
            "holds no DICOM file", file=folder, expected="files ending in .dcm, .ima or .dicom"
        )
    headers = [_header(path) for path in files]
    _require_one_series(headers, folder)
    axes = headers[0].axes
    normal = np.cross(axes[:, 0], axes[:, 1])
    headers = sorted(headers, key=lambda header: float(header.position @ normal))
    step, notes = _step(headers, normal, folder)
    affine = np.eye(4)
    affine[:3, :2] = LPS_TO_RAS @ (axes * np.array(headers[0].spacing))
    affine[:3, 2] = LPS_TO_RAS @ step
    affine[:3, 3] = LPS_TO_RAS @ headers[0].position
    grid = Grid((*headers[0].size, len(headers)), affine)
    return Slices(tuple(header.file for header in headers), grid, notes)


def _header(path: Path) -> _Header:
    reader = open_header(path)
    size = reader.GetSize()
    if len(size) > 2 and size[2] != 1:
        raise InputError(
            "holds several slices",
            file=path,
            expected="one slice in each file",
            found=f"{size[2]} frames",
            remedy="convert the series with dcm2niix",
        )
    across, down = _numbers(reader, _ORIENTATION, 6, path).reshape(2, 3)
    down_spacing, across_spacing = _numbers(reader, _PIXEL_SPACING, 2, path)
    thick = value_of(reader, _THICKNESS)
    return _Header(
        path,
        value_of(reader, _SERIES),
        (size[0], size[1]),
        (float(across_spacing), float(down_spacing)),
        np.stack([across, down], axis=1),
        _numbers(reader, _POSITION, 3, path),
        float(_numbers(reader, _THICKNESS, 1, path)[0]) if thick else 0.0,
    )


def _numbers(reader: Any, key: str, count: int, path: Path) -> np.ndarray:
    text = value_of(reader, key)
    try:
        found = np.array([float(part) for part in text.split("\\")])
    except ValueError:
        found = np.zeros(0)
    if len(found) != count or not np.isfinite(found).all():
        raise InputError(
            "the header does not say where the slice lies",
            file=path,
            expected=f"{count} numbers in ({key.replace('|', ',')})",
            found=repr(text)[:80] if text else "nothing",
            remedy="convert the series with dcm2niix",
        )
    return found


def _require_one_series(headers: Sequence[_Header], folder: Path) -> None:
    series = Counter(header.series for header in headers)
    if len(series) > 1:
        raise InputError(
            "holds several series",
            file=folder,
            expected="a folder for each series",
            found=first_ten([f"{uid} ({n} files)" for uid, n in series.most_common()]),
            remedy="move each into a folder of its own",
        )
    first = headers[0]
    for header in headers:
        if header.size != first.size or not (
            np.allclose(header.spacing, first.spacing, rtol=1e-3)
            and np.allclose(header.axes, first.axes, atol=1e-3)
        ):
            raise InputError(
                "the slices of this series differ in size, spacing or direction",
                file=header.file,
                expected=f"{_shown(first)}, as {first.file.name}",
                found=_shown(header),
                remedy="keep the slices of one stack; move a scout view elsewhere",
            )


def _step(
    headers: Sequence[_Header], normal: np.ndarray, folder: Path
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the way from a slice to the next, in LPS mm."""
    if len(headers) == 1:
        thick = headers[0].thickness or 1.0
        return normal * thick, ("a single slice: its thickness counts as its spacing",)
    positions = np.stack([header.position for header in headers])
    gaps = np.diff(positions @ normal)
    usual = float(np.median(gaps))
    for header, other, gap in zip(headers[:-1], headers[1:], gaps.tolist(), strict=True):
        if gap <= _TOLERANCE * usual or usual <= 0:
            raise InputError(
                "two slices lie at one place",
                file=folder,
                expected="each place once",
                found=f"{header.file.name} and {other.file.name}",
                remedy="keep one reconstruction, or one time, in a folder",
            )
        if abs(gap - usual) > _TOLERANCE * usual:
            missing = gap > 1.5 * usual
            raise InputError(
                "slices are missing" if missing else "the slices are not evenly spaced",
                file=folder,
                expected=f"{usual:.4g} mm from each to the next",
                found=f"{gap:.4g} mm between {header.file.name} and {other.file.name}",
                remedy="complete the series" if missing else "resample it to even slices",
            )
    step = (positions[-1] - positions[0]) / (len(headers) - 1)
    even = positions[0] + np.outer(np.arange(len(headers)), step)
    strays = np.linalg.norm(positions - even, axis=1)
    if strays.max() > _TOLERANCE * usual + 0.01:
        worst = headers[int(strays.argmax())]
        raise InputError(
            "the slices do not lie along a line",
            file=worst.file,
            expected=f"each at most {_TOLERANCE:.0%} of {usual:.4g} mm from it",
            found=f"{strays.max():.3g} mm",
            remedy="resample the series to one grid",
        )
    cosine = float(np.linalg.norm(step - (step @ normal) * normal) / np.linalg.norm(step))
    tilted = f"its axes are not at right angles (cosine {cosine:.2f}): the gantry was tilted"
    return step, (tilted,) if cosine > 1e-2 else ()


def _shown(header: _Header) -> str:
    axes = np.array2string(header.axes.T.ravel(), precision=3, suppress_small=True)
    return f"{header.size[0]} × {header.size[1]} at {header.spacing} mm, directions {axes}"
