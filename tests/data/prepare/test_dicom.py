"""A folder of DICOM files becomes a volume, or says why it does not."""

from __future__ import annotations

import numpy as np
import pytest

from medseg.data.prepare import dicom
from medseg.data.prepare.headers import grid_of
from medseg.data.prepare.raw import companions, load
from medseg.data.prepare.writing import mask_suffix, write_label
from medseg.errors import InputError


@pytest.fixture
def voxels():
    return np.random.default_rng(0).integers(-1000, 1000, (6, 8, 5))


def at(zs, xs=None):
    xs = xs or [0.0] * len(zs)
    return [(x, 0.0, z) for x, z in zip(xs, zs, strict=True)]


def test_slices_are_sorted_by_where_they_lie_not_by_name(tmp_path, write_series, voxels):
    names = ["c.dcm", "a.dcm", "e.dcm", "b.dcm", "d.dcm"]
    folder = write_series(tmp_path / "s", voxels, names=names)
    raw = load(folder)
    assert np.array_equal(raw.data[0], voxels)
    assert raw.grid.spacing == pytest.approx((0.5, 0.75, 2.5))
    # LPS to RAS: the first voxel is at (-20, -30, 0) in the files.
    assert np.allclose(raw.grid.affine @ [0, 0, 0, 1], [20, 30, 0, 1])
    assert np.allclose(raw.grid.affine @ [1, 2, 3, 1], [19.5, 28.5, 7.5, 1])
    assert raw.notes == ()


def test_it_equals_what_simpleitk_makes_of_the_series(tmp_path, write_series, voxels):
    import SimpleITK as sitk

    from medseg.data.prepare.itk import grid_of as grid_of_image

    folder = write_series(tmp_path / "s", voxels)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    image = sitk.ReadImage(names)
    raw = load(folder)
    assert np.array_equal(raw.data[0], sitk.GetArrayFromImage(image).transpose(2, 1, 0))
    assert grid_of_image(image).mismatch(raw.grid) is None


def test_the_grid_is_had_from_the_headers_alone(tmp_path, write_series, voxels):
    folder = write_series(tmp_path / "s", voxels)
    assert grid_of(folder) == load(folder).grid


def test_every_slice_is_a_part_of_the_image(tmp_path, write_series, voxels):
    folder = write_series(tmp_path / "s", voxels)
    (folder / "069.xml").write_text("<x/>")
    assert [p.name for p in companions(folder)] == [f"{k:03d}.dcm" for k in range(5)]


def test_a_mask_of_a_series_is_written_as_nifti_on_its_grid(tmp_path, write_series, voxels):
    folder = write_series(tmp_path / "s", voxels)
    assert mask_suffix(folder) == ".nii.gz"
    path = write_label(tmp_path / "m.nii.gz", (voxels > 0).astype(np.uint8), folder)
    assert load(path).grid.mismatch(load(folder).grid) is None


def test_a_tilted_gantry_gives_oblique_axes_and_a_note(tmp_path, write_series, voxels):
    slices = [(0.0, 0.8 * k, 2.5 * k) for k in range(5)]
    raw = load(write_series(tmp_path / "s", voxels, positions=slices))
    assert "at right angles" in raw.notes[0]
    assert np.allclose(raw.grid.affine @ [0, 0, 4, 1], [0, -3.2, 10, 1])


def test_a_single_slice_is_a_volume_of_its_thickness(tmp_path, write_series, voxels):
    raw = load(write_series(tmp_path / "s", voxels[..., :1]))
    assert raw.data.shape == (1, 6, 8, 1) and "a single slice" in raw.notes[0]


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        (at([0, 2.5, 7.5, 10, 12.5]), "slices are missing"),
        (at([0, 2.5, 5.0, 8.0, 10.5]), "not evenly spaced"),
        (at([0, 2.5, 2.5, 5, 7.5]), "at one place"),
        (at([0, 2.5, 5, 7.5, 10], [0, 3, 0, 0, 0]), "along a line"),
    ],
)
def test_slices_that_are_no_even_stack_are_refused(
    tmp_path, write_series, voxels, positions, words
):
    folder = write_series(tmp_path / "s", voxels, positions=positions)
    with pytest.raises(InputError, match=words) as error:
        load(folder)
    assert error.value.found and error.value.remedy


def test_two_series_in_a_folder_are_refused(tmp_path, write_series, voxels):
    folder = write_series(tmp_path / "s", voxels)
    write_series(folder, voxels[..., :2], series="9.9", names=["x.dcm", "y.dcm"])
    with pytest.raises(InputError, match="several series") as error:
        load(folder)
    assert "9.9 (2 files)" in error.value.found


def test_slices_of_another_size_are_refused(tmp_path, write_series, voxels):
    folder = write_series(tmp_path / "s", voxels)
    write_series(folder, voxels[:4, :, :1], positions=at([50]), names=["scout.dcm"])
    with pytest.raises(InputError, match="differ in size") as error:
        load(folder)
    assert error.value.file.name == "scout.dcm"


def test_a_file_that_is_no_dicom_is_named(tmp_path, write_series, voxels):
    folder = write_series(tmp_path / "s", voxels)
    (folder / "000.dcm").write_bytes(b"not DICOM")
    with pytest.raises(InputError, match="cannot be read as DICOM") as error:
        load(folder)
    assert error.value.file.name == "000.dcm"


def test_a_folder_without_dicom_is_no_image(tmp_path):
    with pytest.raises(InputError, match="no DICOM file"):
        dicom.slices_of(tmp_path)


def test_real_slices_of_a_tilted_gantry_are_read(real_data):
    raw = load(real_data("formats/dicom_ct_gantry_tilt"))
    assert raw.data.shape == (1, 512, 512, 6)
    assert "cosine 0.32" in raw.notes[0]


def test_real_hounsfield_units_are_those_of_simpleitk(real_data):
    import SimpleITK as sitk

    folder = real_data("detection/lidc_stacks/small/LIDC-IDRI-0003")
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    expected = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
    assert np.array_equal(load(folder).data[0], expected)
