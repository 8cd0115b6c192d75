"""PNG, JPEG, TIFF, BMP and GIF pictures, and TIFF stacks of them, through Pillow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medseg.data.prepare.raw import STACKS, Raw, damage_told, suffix
from medseg.errors import InputError
from medseg.geometry import Grid

_INKS = ("CMYK", "LAB", "HSV")
_WITH_ALPHA = ("LA", "RGBA", "PA", "La", "RGBa")
_ORIENTATION = 0x0112


def read(path: Path) -> Raw:
    """Read a picture as ``(C, I, J)``: I the row, J the column, C the colours.

    The pages of a TIFF are the slices of a volume ``(C, I, J, K)``. A palette picture gives its
    palette *indices*, which is how masks are stored with colours, and the palette beside them. An
    alpha channel is dropped, a camera's EXIF rotation applied.

    One pixel counts as one millimetre: a picture's dots per inch describe the print, not the
    patient. Pages lie as far apart as ImageJ says in pixels, else one.

    Raises:
        InputError: the colours are inks (CMYK), or the file holds several pictures that are no
            stack.
    """
    from PIL import Image

    # Through a file: by its path, Pillow 13 maps uncompressed TIFFs and scrambles turned ones.
    with path.open("rb") as file, Image.open(file) as picture:
        _refuse_inks(picture.mode, path)
        if _has_deep_colours(picture):
            return _read_deep(path)
        notes = list(_oddities(picture))
        distance = _page_distance(picture)
        palette = _palette(picture)
        pages = list(_pages(picture, path, notes))
    if len({(page.shape, page.dtype) for page in pages}) > 1:
        raise InputError(
            "the pages of this file differ, so they are no stack",
            file=path,
            expected="pages of one size and type",
            found=", ".join(dict.fromkeys(f"{p.shape[1:]} {p.dtype}" for p in pages)),
            remedy="write each page to a file of its own",
        )
    data = pages[0] if len(pages) == 1 else np.stack(pages, axis=-1)
    return Raw(data, _grid(data, distance), pages[0].dtype.name, tuple(notes), palette)


def has_pages(path: Path) -> bool:
    """Tell whether a file is a TIFF of several pages."""
    from PIL import Image

    if suffix(path) not in STACKS or not path.is_file():
        return False
    with damage_told(path), Image.open(path) as picture:
        return getattr(picture, "n_frames", 1) > 1


def each_page(path: Path) -> Iterator[Raw]:
    """Read one page of a TIFF after the other, each as a picture ``(C, I, J)`` like `read`.

    One of them is in memory at a time; of colours of 16 bits, which Pillow does not read, all are.

    Raises:
        InputError: the file is damaged, or its colours are inks.
    """
    from PIL import Image

    with damage_told(path), path.open("rb") as file, Image.open(file) as picture:
        _refuse_inks(picture.mode, path)
        if _has_deep_colours(picture):
            whole = _read_deep(path)
            for page in np.moveaxis(whole.data, -1, 0):
                yield Raw(page, _grid(page), whole.dtype, whole.notes)
            return
        notes = list(_oddities(picture))
        for page in _pages(picture, path, notes):
            yield Raw(page, _grid(page), page.dtype.name, tuple(notes), _palette(picture))


def in_colour(raw: Raw) -> Raw:
    """Look up the palette of an image, whose indices mean nothing to a network.

    Gives three channels, or one where all colours are grey; what has no palette as it is.
    """
    if raw.palette is None:
        return raw
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(raw.palette)] = raw.palette
    kept = table[:, :1] if (table == table[:, :1]).all() else table
    data = np.moveaxis(kept[raw.data[0]], -1, 0)
    return replace(raw, data=data, palette=None, notes=(*raw.notes, "its palette is looked up"))


def _refuse_inks(mode: str, path: Path) -> None:
    if mode in _INKS:
        raise InputError(
            f"the picture's colours are {mode}, made for printing",
            file=path,
            expected="grey or RGB",
            found=mode,
            remedy="convert the picture to RGB by the colour profile that it was made with",
        )


def _has_deep_colours(picture: Any) -> bool:
    """Tell colours of 16 bits, of which Pillow would keep 8."""
    if picture.mode not in ("RGB", "RGBA"):
        return False
    bits = picture.tag_v2.get(258, (8,)) if picture.format == "TIFF" else (8,)
    arguments = picture.tile[0][3] if picture.tile else ""
    raw = arguments if isinstance(arguments, str) else str(arguments[:1])
    return max(bits) > 8 or ";16" in raw


def _read_deep(path: Path) -> Raw:
    import SimpleITK as sitk

    from medseg.data.prepare.itk import quiet

    with quiet():
        array = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    notes = ("its alpha channel is ignored",) if array.shape[-1] == 4 else ()
    data = np.moveaxis(array[..., :3], -1, 0)
    if data.ndim == 4:
        data = np.moveaxis(data, 1, -1)
    return Raw(data, _grid(data), data.dtype.name, notes)


def _oddities(picture: Any) -> Iterator[str]:
    if picture.mode == "YCbCr":
        yield "its colours are YCbCr; read as RGB"
    orientation = picture.getexif().get(_ORIENTATION, 1)
    if orientation in range(2, 9):
        yield f"turned as its EXIF orientation {orientation} says; its mask, or boxes, must be, too"


def _pages(picture: Any, path: Path, notes: list[str]) -> Iterator[np.ndarray]:
    frames = getattr(picture, "n_frames", 1)
    if picture.format == "MPO":  # a camera's preview or second view follows the picture
        notes.append("a JPEG of several pictures; the first is read")
        frames = 1
    elif frames > 1 and picture.format != "TIFF":
        raise InputError(
            "the file holds several pictures",
            file=path,
            expected="one picture per file, or the pages of a TIFF, which are a volume's slices",
            found=f"{frames} frames",
            remedy="split it into one file per picture, or store a volume as NIfTI",
        )
    for number in range(frames):
        if frames > 1:
            picture.seek(number)
        yield _page(picture, notes)


def _page(picture: Any, notes: list[str]) -> np.ndarray:
    """Return one page ``(C, I, J)``."""
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(picture)
    data = np.asarray(turned.convert("RGB") if turned.mode == "YCbCr" else turned)
    if turned.mode in _WITH_ALPHA:
        alpha, data = data[..., -1], data[..., :-1]
        data = data[..., 0] if data.shape[-1] == 1 else data
        note = "its alpha channel is ignored"
        if alpha.min() != alpha.max():
            note += ": what it hides counts as seen"
        if note not in notes:
            notes.append(note)
    kind = data.dtype.newbyteorder("=")
    data = data.astype(np.uint8 if kind.kind == "b" else kind, copy=False)
    return np.moveaxis(data, -1, 0) if data.ndim == 3 else data[None]


def _palette(picture: Any) -> np.ndarray | None:
    if picture.mode not in ("P", "PA"):
        return None
    return np.array(picture.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)


def _page_distance(picture: Any) -> float:
    """Return how far apart ImageJ says that pages lie, in pixels; 1 where nobody says."""
    tags = getattr(picture, "tag_v2", {})
    lines = str(tags.get(270, "")).splitlines()
    said = dict(line.split("=", 1) for line in lines if "=" in line)
    try:
        # Pages `spacing` units apart, pixels that many to a unit.
        distance = float(said["spacing"]) * float(tags[282]) if "ImageJ" in said else 1.0
    except (KeyError, ValueError, ZeroDivisionError):
        return 1.0
    return distance if np.isfinite(distance) and distance > 0 else 1.0


def _grid(data: np.ndarray, distance: float = 1.0) -> Grid:
    shape = data.shape[1:]
    return Grid.from_spacing(shape, (1.0, 1.0, distance)[: len(shape)])
