"""What a file holds, before anything is decided about it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medseg.data.formats.files import is_video
from medseg.data.formats.series import is_series, slices_in
from medseg.errors import InputError
from medseg.geometry import Grid

NIFTI = (".nii.gz", ".nii", ".hdr.gz", ".hdr", ".img.gz", ".img", ".mgz", ".mgh")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif")
STACKS = (".tif", ".tiff")


@dataclass(frozen=True)
class Raw:
    """An image as its file describes it.

    Attributes:
        data: ``(C, *S)`` in the file's own type, or scaled to float where the header says so.
        grid: where the voxels lie, mm, RAS frame.
        dtype: name of the type the values are stored in (``int16``), before scaling.
        notes: what is odd about the file, in words.
        palette: of a picture whose values are indices: uint8 ``(N, 3)``, red, green and blue.
    """

    data: np.ndarray
    grid: Grid
    dtype: str
    notes: tuple[str, ...] = ()
    palette: np.ndarray | None = None


def suffix(path: Path) -> str:
    """Return the suffix that decides who reads a file (``.nii.gz``), lower case."""
    name = path.name.lower()
    if name.endswith(NIFTI[:2]):  # nearly every file: what follows is slow ten thousand times
        return ".nii" if name.endswith(".nii") else ".nii.gz"
    known = (s for s in (*NIFTI, *ITK, *PICTURES) if name.endswith(s))
    return next(known, path.suffix.lower())


def load(path: Path | str) -> Raw:
    """Read one file of any supported format, or a folder that holds a DICOM series.

    Axes: volumes come as ``(C, I, J, K)`` in the file's own axis order (NIfTI's and ITK's first
    index first); pictures as ``(C, I, J)`` with I the row, J the column, stacks of them with K the
    page. A 4D file's last axis is the channel axis.

    Raises:
        InputError: the file is missing, damaged, of another format, or holds what is no image of
            scalars (complex numbers, zero voxels, a singular affine).
    """
    path = Path(path)
    if is_series(path):
        from medseg.data.prepare.dicom import read as read_series

        with damage_told(path):
            raw = read_series(path)
        _check(raw, path)
        return raw
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise InputError("there is no such file", file=path, expected="an image", found=found)
    kind = suffix(path)
    if kind in NIFTI:
        from medseg.data.prepare.nifti import read
    elif kind in ITK:
        from medseg.data.prepare.itk import read
    elif kind in PICTURES:
        from medseg.data.prepare.pictures import read
    else:
        remedy = None
        if kind in (".dcm", ".ima") or path.name.lower().endswith(".dcm.gz"):
            remedy = "name the folder of the series, or convert it with dcm2niix"
        elif is_video(path):
            remedy = "medseg predict segments its frames, by a network of pictures"
        raise InputError(
            "this file format is not read",
            file=path,
            expected=f"one of {', '.join((*NIFTI, *ITK, *PICTURES))}",
            found=kind or "no suffix",
            remedy=remedy,
        )
    with damage_told(path):
        raw = read(path)
    _check(raw, path)
    return raw


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Turn what parsers raise on a damaged file into an InputError."""
    try:
        yield
    except (InputError, ImportError):
        raise
    # Nearly anything: EOFError, zlib.error, struct.error, OverflowError, MemoryError,
    # ZeroDivisionError, RuntimeError, AttributeError…
    except Exception as error:
        if path.exists() and not os.access(path, os.R_OK):
            raise InputError(
                "this user may not read the file",
                file=path,
                found="no permission",
                remedy="let its owner allow it (chmod), or copy it",
            ) from error
        raise InputError(
            "the file cannot be read; it is damaged, cut short, or of another format",
            file=path,
            expected=f"a whole {suffix(path)} file",
            found=_one_line(error),
            remedy="fetch or export the file again",
        ) from error


def companions(path: Path) -> tuple[Path, ...]:
    """Return every file that holds a part of this image: header and detached data, or slices."""
    if is_series(path):
        return tuple(slices_in(path))
    kind = suffix(path)
    for one, other in ((".hdr", ".img"), (".img", ".hdr")):
        if kind.startswith(one):
            stem = path.name[: -len(kind)]
            tail = kind[len(one) :]
            twins = (stem + end + gz for end in (other, other.upper()) for gz in (tail, "", ".gz"))
            found = (path.with_name(name) for name in twins if path.with_name(name).is_file())
            return tuple(sorted({path, *list(found)[:1]}))
    if kind in (".nhdr", ".mhd"):
        return (path, *_detached(path))
    return (path,)


def _detached(path: Path) -> list[Path]:
    keys = ("elementdatafile", "data file", "datafile")
    for line in path.read_text(errors="replace").splitlines():
        key, _, value = line.replace("=", ":", 1).partition(":")
        if key.strip().lower() in keys and (path.parent / value.strip()).is_file():
            return [path.parent / value.strip()]
    return []


def _check(raw: Raw, path: Path) -> None:
    if 0 in raw.data.shape:
        raise InputError("the image has no voxels", file=path, found=f"shape {raw.data.shape}")
    if raw.data.dtype.kind not in "biuf":
        raise InputError(
            "the voxels are not plain numbers",
            file=path,
            expected="integers or floating-point numbers",
            found=f"{raw.dtype}",
            remedy="store the magnitude" if raw.data.dtype.kind == "c" else None,
        )
    affine = raw.grid.affine
    volume = abs(np.linalg.det(affine[:-1, :-1])) if np.isfinite(affine).all() else 0.0
    if not volume > 1e-12 or min(raw.grid.spacing) < 1e-6:
        raise InputError(
            "the header does not say where the voxels lie",
            file=path,
            expected="a finite, invertible affine with spacings above 0",
            found=f"affine {np.array2string(affine[:-1], precision=4, separator=', ')}",
            remedy="write the file again with its true spacing",
        )


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
