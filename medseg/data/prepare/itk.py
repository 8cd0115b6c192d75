"""NRRD and MetaImage files through SimpleITK."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from medseg.data.prepare.raw import Raw, damage_told
from medseg.errors import InputError
from medseg.geometry import Grid

# SimpleITK counts millimetres towards left and back (LPS), we towards right and front (RAS).
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def read(path: Path) -> Raw:
    """Read a file; vector components, or a fourth axis, become the channels."""
    import SimpleITK as sitk

    with quiet():
        image = sitk.ReadImage(str(path))
    if "complex" in image.GetPixelIDTypeAsString():
        raise InputError(
            "the voxels are complex numbers, where scalars are wanted",
            file=path,
            remedy="store the magnitude",
        )
    data = sitk.GetArrayFromImage(image)
    ndim = image.GetDimension()
    vector = image.GetNumberOfComponentsPerPixel() > 1
    if ndim > 4 or (ndim == 4 and vector):
        raise InputError(
            f"the image has {ndim + vector} dimensions",
            file=path,
            expected="3, or 4 with the channels last",
            found=f"size {image.GetSize()}",
            remedy="split the series into one file per volume",
        )
    # SimpleITK's arrays are indexed backwards, (K, J, I), with a vector's components last.
    data = np.moveaxis(data, -1, 0) if vector else data if ndim == 4 else data[None]
    data = data.transpose(0, *range(data.ndim - 1, 0, -1))
    return Raw(data, grid_of(image), data.dtype.name)


def header_grid(path: Path) -> Grid:
    """Give the grid of a file without reading its voxels.

    Raises:
        InputError: the file cannot be read.
    """
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    with damage_told(path), quiet():
        reader.ReadImageInformation()
        return grid_of(reader)


def grid_of(image: Any) -> Grid:
    """Give the grid of a SimpleITK image of 2, 3 or 4 dimensions."""
    ndim = image.GetDimension()
    size, spacing = image.GetSize(), image.GetSpacing()
    if ndim == 2:
        return Grid.from_spacing(size, spacing)
    direction = np.array(image.GetDirection()).reshape(ndim, ndim)[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = LPS_TO_RAS @ direction @ np.diag(spacing[:3])
    affine[:3, 3] = LPS_TO_RAS @ np.array(image.GetOrigin()[:3])
    return Grid(size[:3], affine)


def place(image: Any, grid: Grid) -> None:
    """Write a grid into a SimpleITK image's header."""
    image.SetSpacing(grid.spacing)
    if grid.ndim == 2:
        return
    axes = LPS_TO_RAS @ grid.affine[:3, :3] / np.array(grid.spacing)
    image.SetDirection(axes.ravel().tolist())
    image.SetOrigin((LPS_TO_RAS @ grid.affine[:3, 3]).tolist())


@contextmanager
def quiet() -> Iterator[None]:
    """Keep ITK's warnings off the terminal; what matters comes back as exceptions."""
    import SimpleITK as sitk

    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)
