"""Write a mask into the frame of the file it was made from: same shape, affine and header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medseg.atomic import cannot_write, replacing
from medseg.data.formats.files import is_video
from medseg.data.formats.series import is_series
from medseg.data.prepare.raw import ITK, NIFTI, PICTURES, STACKS, suffix
from medseg.errors import InputError
from medseg.geometry import Grid

_LOSSY = (".jpg", ".jpeg")
_READ_ONLY = (*_LOSSY, ".gif")
_NIFTI_OUT = (".nii", ".nii.gz", ".mgz", ".mgh")


def mask_suffix(source: Path | str) -> str:
    """Name a mask's file type: its image's, but PNG for JPEG and GIF, and NIfTI for a pair.

    A video's is TIFF, whose pages are its frames; that of a DICOM series is NIfTI.
    """
    if is_series(Path(source)):
        return ".nii.gz"
    if is_video(source):
        return ".tif"
    kind = suffix(Path(source))
    if kind in _READ_ONLY:
        return ".png"
    if kind in NIFTI:
        return kind if kind in _NIFTI_OUT else ".nii.gz"
    # A detached header would leave two files to keep together.
    return {".nhdr": ".nrrd", ".mhd": ".mha"}.get(kind, kind)


def write_label(
    path: Path | str, data: np.ndarray, source: Path | Grid, *, overwrite: bool = False
) -> Path:
    """Write a mask, whole or not at all.

    Args:
        path: its suffix decides the format.
        data: file values ``(*S)``, whole numbers, on the source's grid.
        source: the image that the mask belongs to, whose shape, affine, qform and sform with their
            codes, and units are kept; or only a grid.
        overwrite: replace a file that is there.

    Returns:
        ``path``.

    Raises:
        InputError: the file exists, the format is not written or not loss-free, the shape is not
            the source's, or the disk is full; nothing is left behind.
    """
    path = Path(path)
    kind = suffix(path)
    if not overwrite:
        refuse_existing(path)
    data = _smallest(np.asarray(data), path)
    try:
        with replacing(path, suffix=kind) as temporary:
            if kind in _NIFTI_OUT:
                _write_nifti(temporary, data, source, path)
            elif kind in ITK and kind not in (".nhdr", ".mhd"):
                _write_itk(temporary, data, source, path)
            elif kind in PICTURES and kind not in _READ_ONLY:
                _write_picture(temporary, data, source, path)
            else:
                raise InputError(
                    "masks are not written in this format",
                    file=path,
                    expected=f".nii.gz, .nii, .mgz, .nrrd, .mha, .png, .tif or .bmp, not {kind}",
                    remedy="JPEG blurs labels; PNG keeps them" if kind in _LOSSY else None,
                )
    except RuntimeError as error:  # how SimpleITK reports a full disk
        raise cannot_write(path, OSError(str(error))) from error
    return path


def refuse_existing(path: Path) -> None:
    """Raise an InputError if there is such a file."""
    if path.exists():
        raise InputError(
            "the file exists",
            file=path,
            expected="a new file",
            remedy="choose another, or overwrite it: --overwrite, in Python overwrite=True",
        )


def _smallest(data: np.ndarray, path: Path) -> np.ndarray:
    if data.dtype.kind not in "biu":
        whole = np.rint(data)
        if not np.array_equal(whole, data):
            raise InputError("a mask holds whole numbers", file=path, found=str(data.dtype))
        data = whole.astype(np.int64)
    low, high = (int(data.min()), int(data.max())) if data.size else (0, 0)
    kinds = (np.uint8, np.int16, np.uint16, np.int32)
    fits = (k for k in kinds if np.iinfo(k).min <= low and high <= np.iinfo(k).max)
    return data.astype(next(fits, np.int64))


def _check_shape(shape: tuple[int, ...], wanted: tuple[int, ...], path: Path) -> None:
    if tuple(shape) != tuple(wanted):
        raise InputError(
            "the mask has another shape than the image it is for",
            file=path,
            expected=f"shape {tuple(wanted)}",
            found=f"shape {tuple(shape)}",
        )


def _grid(source: Path | Grid) -> Grid:
    if isinstance(source, Grid):
        return source
    from medseg.data.prepare.raw import load

    return load(source).grid


def _write_nifti(temporary: Path, data: np.ndarray, source: Path | Grid, path: Path) -> None:
    import nibabel as nib

    original: Any = None
    if not isinstance(source, Grid) and suffix(Path(source)) in NIFTI:
        original = nib.load(source)
        _check_shape(data.shape, original.shape[: data.ndim], path)
    else:
        _check_shape(data.shape, _grid(source).shape, path)
    if suffix(path) in (".mgz", ".mgh"):
        affine = _affine(source) if original is None else original.affine
        kind = data.dtype if data.dtype in (np.uint8, np.int16, np.int32) else np.dtype(np.int32)
        image: Any = nib.MGHImage(data.astype(kind), affine)
    elif isinstance(getattr(original, "header", None), nib.Nifti1Header):
        two = isinstance(original.header, nib.Nifti2Header)
        make = nib.Nifti2Image if two else nib.Nifti1Image
        # The header's own affine goes in again, so nibabel leaves qform, sform and codes alone.
        image = make(data, original.affine, _mask_header(original.header, data.dtype))
    else:
        image = nib.Nifti1Image(data, _affine(source) if original is None else original.affine)
        image.header.set_xyzt_units("mm")
        image.set_qform(image.affine, code=1)
        image.set_sform(image.affine, code=1)
    nib.save(image, temporary)


def _mask_header(header: Any, kind: np.dtype) -> Any:
    """Copy a header without what describes the image's intensities."""
    header = header.copy()
    header.set_data_dtype(kind)
    header["cal_min"] = header["cal_max"] = 0
    header["scl_slope"], header["scl_inter"] = 1, 0
    header.set_intent("none")
    return header


def _affine(source: Path | Grid) -> np.ndarray:
    grid = _grid(source)
    if grid.ndim == 3:
        return np.array(grid.affine)
    return np.diag([*grid.spacing, 1.0, 1.0])


def _write_itk(temporary: Path, data: np.ndarray, source: Path | Grid, path: Path) -> None:
    import SimpleITK as sitk

    from medseg.data.prepare.itk import place, quiet

    image = sitk.GetImageFromArray(np.ascontiguousarray(data.T))
    native = not isinstance(source, Grid) and suffix(Path(source)) in ITK
    reader = sitk.ImageFileReader()
    if native:
        reader.SetFileName(str(source))
        with quiet():
            reader.ReadImageInformation()
        _check_shape(data.shape, reader.GetSize()[: data.ndim], path)
        native = reader.GetDimension() == data.ndim
    if native:
        image.SetSpacing(reader.GetSpacing())
        image.SetOrigin(reader.GetOrigin())
        image.SetDirection(reader.GetDirection())
    else:
        grid = _grid(source)
        _check_shape(data.shape, grid.shape, path)
        place(image, grid)
    with quiet():
        sitk.WriteImage(image, str(temporary), useCompression=True)
        # ITK does not look at what the system says when a file is closed; a full disk goes unseen.
        written = sitk.GetArrayFromImage(sitk.ReadImage(str(temporary)))
    if not np.array_equal(written.T, data):
        raise OSError("what was written reads back differently")


def _write_picture(temporary: Path, data: np.ndarray, source: Path | Grid, path: Path) -> None:
    from PIL import Image

    _check_shape(data.shape, _grid(source).shape, path)
    stack = data.ndim == 3 and suffix(path) in STACKS
    if not (data.ndim == 2 or stack) or data.min(initial=0) < 0 or data.max(initial=0) > 65535:
        raise InputError(
            "a picture cannot hold this mask",
            file=path,
            expected="2 axes (of a TIFF 3) and values from 0 to 65535",
            found=f"shape {data.shape}, values {data.min()} to {data.max()}",
        )
    data = data.astype(np.uint8 if data.max(initial=0) <= 255 else np.uint16)
    if not stack:
        Image.fromarray(data).save(temporary)
        return
    first, *others = (Image.fromarray(page) for page in np.moveaxis(data, -1, 0))
    first.save(temporary, save_all=True, append_images=others, compression="tiff_adobe_deflate")
