"""Grids from headers alone."""

from __future__ import annotations

import numpy as np
import pytest

from medseg.data.prepare.headers import grid_of
from medseg.data.prepare.raw import load
from medseg.errors import InputError


def write(path):
    import nibabel as nib
    import SimpleITK as sitk

    if path.suffix == ".nii":
        affine = np.diag([2.0, -1.5, 3.0, 1.0])
        nib.save(nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), affine), path)
        return
    image = sitk.Image((3, 4, 5), sitk.sitkUInt8)
    image.SetSpacing((0.5, 0.75, 2.0))
    image.SetOrigin((10, -20, 30))
    image.SetDirection((0, 1, 0, -1, 0, 0, 0, 0, 1))
    sitk.WriteImage(image, str(path))


@pytest.mark.parametrize("name", ["a.nii", "a.mha", "a.mhd", "a.nrrd"])
def test_the_header_gives_the_grid_that_reading_gives(tmp_path, name):
    write(tmp_path / name)
    assert grid_of(tmp_path / name) == load(tmp_path / name).grid


def test_voxels_are_not_needed(tmp_path):
    write(tmp_path / "a.mhd")
    grid = load(tmp_path / "a.mhd").grid
    (tmp_path / "a.raw").unlink()
    assert grid_of(tmp_path / "a.mhd") == grid


def test_a_damaged_header_is_said(tmp_path):
    (tmp_path / "a.mha").write_text("no header")
    with pytest.raises(InputError, match="damaged"):
        grid_of(tmp_path / "a.mha")
