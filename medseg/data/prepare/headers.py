"""Where an image lies, from its header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medseg.data.formats.series import is_series
from medseg.data.prepare import dicom, itk
from medseg.data.prepare.raw import ITK, NIFTI, load, suffix
from medseg.geometry import Grid


def grid_of(path: Path) -> Grid:
    """Give the grid of an image; of NIfTI, MetaImage, NRRD and DICOM without reading voxels."""
    if is_series(path):
        return dicom.slices_of(path).grid
    if suffix(path) in ITK and path.is_file():
        return itk.header_grid(path)
    if suffix(path) not in NIFTI or not path.is_file():
        return load(path).grid
    import nibabel as nib

    try:
        image: Any = nib.load(path)
        shape = tuple(int(n) for n in image.shape)
        affine = np.array(image.affine, dtype=np.float64)
    except Exception:  # a damaged file: reading it says what is wrong
        return load(path).grid
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 2:
        return Grid.from_spacing(shape, np.linalg.norm(affine[:3, :2], axis=0))
    return Grid(shape[:3], affine)
