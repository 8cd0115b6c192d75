"""A look into a few files: the colours of a picture, the values of the first masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medseg.data.formats import colours
from medseg.data.formats.files import suffix_of
from medseg.errors import InputError

_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif")
_TOO_MANY = 256
_TOO_MANY_COLOURS = 32


class MaskValues(NamedTuple):
    """What the first masks of a data set hold.

    Attributes:
        values: sorted, of all of them together.
        colours: the values are colours, 0xRRGGBB.
    """

    values: list[int]
    colours: bool = False


def picture_channels(path: Path) -> tuple[str, ...] | None:
    """Return red, green and blue if ``path`` is a colour picture, else ``None``.

    Only the header is read. A file that cannot be opened gives ``None``: reading it will say why.
    """
    if suffix_of(path).lower() not in _PICTURES:
        return None
    from PIL import Image

    try:
        with Image.open(path) as picture:
            coloured = picture.mode in ("RGB", "RGBA", "YCbCr") or _has_coloured_palette(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return ("red", "green", "blue") if coloured else None


def _has_coloured_palette(picture: Any) -> bool:
    if picture.mode not in ("P", "PA"):
        return False
    return not colours.is_grey(np.array(picture.getpalette("RGB")).reshape(-1, 3))


def label_values(paths: Sequence[Path], *, by_colour: bool = False, limit: int = 5) -> MaskValues:
    """Return the values in the first ``limit`` masks.

    Args:
        paths: the masks.
        by_colour: palettes count as colours, too, because the value map names colours.
        limit: how many masks to open.

    Raises:
        InputError: a mask cannot be read, or holds what cannot be labels.
    """
    values: set[int] = set()
    coloured = False
    for path in paths[:limit]:
        array, in_colour = _array(path, by_colour=by_colour)
        coloured |= in_colour
        found = np.unique(array).astype(np.float64)
        if in_colour and len(found) > _TOO_MANY_COLOURS:
            raise InputError(
                "is a colour picture, no mask",
                file=path,
                expected=f"at most {_TOO_MANY_COLOURS} colours, one for each label",
                found=f"{len(found)} colours",
                remedy="point data.labels_folder at the masks; smoothing and JPEG make colours of "
                "their own: save masks as PNG without them",
            )
        rounded = np.rint(found)
        whole = np.isfinite(found).all() and np.abs(found - rounded).max(initial=0) <= 0.01
        if not whole or len(found) > _TOO_MANY or not -(2**31) <= rounded.min() <= 2**31 - 1:
            raise InputError(
                "does not look like a mask",
                file=path,
                expected=f"at most {_TOO_MANY} whole numbers",
                found=f"{len(found)} values from {found[0]:g} to {found[-1]:g}",
                remedy="declare the labels under data.labels; or, if each value is an object: "
                "task=detection detection.objects=instances",
            )
        values |= {int(v) for v in rounded}
    if len(values) > 32 and any(suffix_of(p).lower() in (".jpg", ".jpeg") for p in paths[:limit]):
        raise InputError(
            "is a JPEG, whose compression changes label values",
            file=paths[0],
            found=f"{len(values)} different values",
            remedy="store masks as PNG or TIFF, or map the values with data.value_map",
        )
    return MaskValues(sorted(values), coloured)


def _array(path: Path, *, by_colour: bool) -> tuple[np.ndarray, bool]:
    """Return the values of a mask, and whether they are colours."""
    suffix = suffix_of(path).lower()
    try:
        if suffix in _PICTURES:
            return _picture(path, by_colour=by_colour)
        if suffix in (".nii", ".nii.gz"):
            import nibabel

            return np.asanyarray(nibabel.load(path).dataobj), False  # type: ignore[attr-defined]
        import SimpleITK

        return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))), False
    except InputError:
        raise
    except Exception as error:
        # Every reader has its own family of errors for a damaged file.
        raise InputError(
            "cannot be read as a mask", file=path, found=f"{type(error).__name__}: {error}"
        ) from error


def _picture(path: Path, *, by_colour: bool) -> tuple[np.ndarray, bool]:
    from PIL import Image

    with Image.open(path) as picture:
        if picture.mode in ("RGB", "RGBA") or (by_colour and picture.mode == "P"):
            rgb = np.asarray(picture.convert("RGB"))
            if by_colour or not colours.is_grey(rgb):
                return colours.pack(rgb), True
            return rgb[..., 0], False
        pages = [_frame(picture, number) for number in range(getattr(picture, "n_frames", 1))]
    return np.concatenate([page.ravel() for page in pages]), False


def _frame(picture: Any, number: int) -> np.ndarray:
    if number:
        picture.seek(number)
    array = np.asarray(picture)
    return array if array.ndim == 2 else array[..., 0]
