"""A look into a few files: the colours of a picture, the values of the first masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medseg.data.formats.files import suffix_of
from medseg.errors import InputError

_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_TOO_MANY = 256


def picture_channels(path: Path) -> tuple[str, ...] | None:
    """Return red, green and blue if ``path`` is a colour picture, else ``None``.

    Only the header is read. A file that cannot be opened gives ``None``: reading it will say why.
    """
    if suffix_of(path).lower() not in _PICTURES:
        return None
    from PIL import Image

    try:
        with Image.open(path) as picture:
            mode = picture.mode
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return ("red", "green", "blue") if mode in ("RGB", "RGBA", "YCbCr", "CMYK") else None


def label_values(paths: Sequence[Path], *, limit: int = 5) -> list[int]:
    """Return the sorted values in the first ``limit`` masks.

    Raises:
        InputError: a mask cannot be read, or holds what cannot be labels.
    """
    values: set[int] = set()
    for path in paths[:limit]:
        found = np.unique(_array(path)).astype(np.float64)
        rounded = np.rint(found)
        whole = np.isfinite(found).all() and np.abs(found - rounded).max(initial=0) <= 0.01
        if not whole or len(found) > _TOO_MANY or not -(2**31) <= rounded.min() <= 2**31 - 1:
            raise InputError(
                "does not look like a mask",
                file=path,
                expected=f"at most {_TOO_MANY} whole numbers",
                found=f"{len(found)} values from {found[0]:g} to {found[-1]:g}",
                remedy="declare the labels under data.labels",
            )
        values |= {int(v) for v in rounded}
    if len(values) > 32 and any(suffix_of(p).lower() in (".jpg", ".jpeg") for p in paths[:limit]):
        raise InputError(
            "is a JPEG, whose compression changes label values",
            file=paths[0],
            found=f"{len(values)} different values",
            remedy="store masks as PNG or TIFF, or map the values with data.value_map",
        )
    return sorted(values)


def _array(path: Path) -> np.ndarray:
    suffix = suffix_of(path).lower()
    try:
        if suffix in _PICTURES:
            from PIL import Image

            with Image.open(path) as picture:
                array = np.asarray(picture)
            if array.ndim != 2:
                raise InputError(
                    "is a colour picture",
                    file=path,
                    expected="a mask of one channel",
                    found=f"an array of shape {array.shape}",
                )
            return array
        if suffix in (".nii", ".nii.gz"):
            import nibabel

            return np.asanyarray(nibabel.load(path).dataobj)  # type: ignore[attr-defined]
        import SimpleITK

        return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    except InputError:
        raise
    except Exception as error:
        # Every reader has its own family of errors for a damaged file.
        raise InputError(
            "cannot be read as a mask", file=path, found=f"{type(error).__name__}: {error}"
        ) from error
