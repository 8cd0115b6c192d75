"""Write masks of frames as the pages of one TIFF, page by page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medseg.atomic import replacing
from medseg.data.prepare.writing import refuse_existing
from medseg.errors import InputError

if TYPE_CHECKING:
    from PIL.TiffImagePlugin import AppendingTiffWriter


def write_stack(path: Path | str, pages: Iterable[np.ndarray], *, overwrite: bool = False) -> Path:
    """Write one page after the other, whole or not at all; one of them is in memory at a time.

    A TIFF, compressed by Deflate, and not a video: most video codecs blur labels, and few programs
    know the others, while ImageJ, MATLAB, ITK and Python's libraries read the exact values of any
    page.

    Args:
        path: ends in ``.tif`` or ``.tiff``.
        pages: file values ``(I, J)``, whole numbers from 0 to 65535, all of one shape and type.
        overwrite: replace a file that is there.

    Returns:
        ``path``.

    Raises:
        InputError: the file exists, values do not fit, or the disk is full; or what ``pages``
            raises. Nothing is left behind.
    """
    from PIL import Image

    path = Path(path)
    if not overwrite:
        refuse_existing(path)
    with replacing(path, suffix=".tif") as temporary, _writer(temporary) as file:
        for page in pages:
            picture = Image.fromarray(_fitting(page, path))
            picture.save(file, format="TIFF", compression="tiff_adobe_deflate")
            file.newFrame()
    return path


def _writer(path: Path) -> AppendingTiffWriter:
    from PIL.TiffImagePlugin import AppendingTiffWriter

    class Writer(AppendingTiffWriter):
        """Goes on where it is; Pillow's goes through all pages for each one that it adds."""

        last = 0

        def skipIFDs(self) -> None:
            if self.last:
                self.f.seek(self.last)
            super().skipIFDs()
            self.last = self.whereToWriteNewIFDOffset or 0

    return Writer(path, new=True)


def _fitting(page: np.ndarray, path: Path) -> np.ndarray:
    """Return uint8 as it is, wider types as uint16, so that a stack has one type."""
    if page.dtype == np.uint8:
        return page
    if page.min(initial=0) < 0 or page.max(initial=0) > 65535:
        raise InputError(
            "a picture cannot hold this mask",
            file=path,
            expected="values from 0 to 65535",
            found=f"values {page.min()} to {page.max()}",
        )
    return page.astype(np.uint16)
