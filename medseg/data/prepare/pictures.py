"""PNG, JPEG, TIFF and BMP pictures through Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medseg.data.prepare.raw import Raw
from medseg.errors import InputError
from medseg.geometry import Grid


def read(path: Path) -> Raw:
    """Read a picture as ``(C, I, J)``: I the row, J the column, C the colours.

    An alpha channel is dropped. A palette picture gives its palette *indices*: that is how masks
    are stored with colours. The grid is the identity, one pixel one millimetre: a picture's dots
    per inch describe the print, not the patient.
    """
    from PIL import Image

    notes = []
    with Image.open(path) as picture:
        frames = getattr(picture, "n_frames", 1)
        if frames > 1:
            raise InputError(
                "the file holds several pictures",
                file=path,
                expected="one picture per file",
                found=f"{frames} frames",
                remedy="split it into one file per picture, or store a volume as NIfTI",
            )
        mode = picture.mode
        if mode in ("CMYK", "YCbCr", "LAB", "HSV"):
            data = np.asarray(picture.convert("RGB"))
            notes.append(f"its colours are {mode}; read as RGB")
        else:
            data = np.asarray(picture)
    if mode in ("LA", "RGBA", "PA", "La", "RGBa"):
        data = data[..., :-1]
        notes.append("its alpha channel is ignored")
        data = data[..., 0] if data.shape[-1] == 1 else data
    kind = data.dtype.newbyteorder("=")
    data = data.astype(np.uint8 if kind.kind == "b" else kind, copy=False)
    data = np.moveaxis(data, -1, 0) if data.ndim == 3 else data[None]
    return Raw(data, Grid.from_spacing(data.shape[1:]), kind.name, tuple(notes))
