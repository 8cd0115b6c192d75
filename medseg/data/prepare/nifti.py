"""NIfTI-1, NIfTI-2, Analyze and MGH files through nibabel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medseg.data.prepare.raw import Raw
from medseg.errors import InputError
from medseg.geometry import Grid

_MILLIMETRES = {"meter": 1e3, "mm": 1.0, "micron": 1e-3}
# No stream of gzip or bzip2 shrinks further; a header that asks for more is damaged, and the check
# saves allocating what it asks for.
_BEST_COMPRESSION = 1100


def read(path: Path) -> Raw:
    """Read a file; scaling (scl_slope) is applied, big-endian becomes native.

    Axes beyond the third: a 4D file's last axis becomes the channels; of a 5D file, NIfTI's vector
    ``(I, J, K, 1, C)`` likewise. Any other 5D file is a series of volumes and is refused.
    """
    import nibabel as nib

    image: Any = nib.load(path)
    if not isinstance(image, nib.spatialimages.SpatialImage) or isinstance(image, nib.Cifti2Image):
        raise InputError("this is not an image of voxels", file=path, found=type(image).__name__)
    shape = tuple(int(n) for n in image.shape)
    kind = image.get_data_dtype()
    _check_type(kind, path)
    _check_size(image, shape, kind, path)
    data = np.asanyarray(image.dataobj)
    data = data.astype(data.dtype.newbyteorder("="), copy=False)
    data = _channels_first(data, path)
    affine, notes = _affine(image)
    if data.ndim == 3:
        # A plane has no place in space: its own two spacings are all that matters.
        spacing = np.linalg.norm(affine[:3, :2], axis=0)
        return Raw(data, Grid.from_spacing(data.shape[1:], spacing), _name(kind), notes)
    return Raw(data, Grid(data.shape[1:], affine), _name(kind), notes)


def _name(kind: np.dtype) -> str:
    return kind.newbyteorder("=").name


def _check_type(kind: np.dtype, path: Path) -> None:
    if kind.kind in "biuf":
        return
    names = {"c": "complex numbers", "V": "RGB colours"}
    raise InputError(
        f"the voxels are {names.get(kind.kind, 'not numbers')}, where scalars are wanted",
        file=path,
        expected="one number per voxel and channel",
        found=str(kind),
        remedy="store the magnitude"
        if kind.kind == "c"
        else "store the colours as a 4D file, channels last, or one file per channel",
    )


def _check_size(image: Any, shape: tuple[int, ...], kind: np.dtype, path: Path) -> None:
    files = {holder.filename for holder in image.file_map.values() if holder.filename}
    for missing in (f for f in files if not Path(f).is_file()):
        raise InputError(
            "the other half of this file is not there",
            file=path,
            expected=f"{missing} beside it",
            found="nothing",
            remedy="header (.hdr) and voxels (.img) belong together: copy both",
        )
    stored = sum(Path(f).stat().st_size for f in files)
    # In Python's integers: a damaged shape overflows NumPy's.
    wanted = kind.itemsize
    for n in shape:
        wanted *= n
    packed = any(str(f).endswith((".gz", ".bz2", ".mgz")) for f in files)
    if wanted > stored * (_BEST_COMPRESSION if packed else 1):
        raise InputError(
            "the file is cut short, or its header is damaged",
            file=path,
            expected=f"{wanted} bytes of voxels for shape {shape}, {kind}",
            found=f"a file of {stored} bytes",
            remedy="fetch or export the file again",
        )


def _channels_first(data: np.ndarray, path: Path) -> np.ndarray:
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim == 5 and data.shape[3] == 1:
        data = data[:, :, :, 0]
    if data.ndim > 4:
        raise InputError(
            f"the image has {data.ndim} dimensions",
            file=path,
            expected="3, or 4 with the channels last",
            found=f"shape {data.shape}",
            remedy="split the series into one file per volume",
        )
    if data.ndim < 2:
        raise InputError(
            f"the image has {data.ndim} dimensions",
            file=path,
            expected="2, 3 or 4",
            found=str(data.shape),
        )
    return np.moveaxis(data, -1, 0) if data.ndim == 4 else data[None]


def _affine(image: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    import nibabel as nib

    affine = np.array(image.affine, dtype=np.float64)
    header = image.header
    notes = []
    if isinstance(header, nib.Nifti1Header):
        unit = _unit(header)
        if unit not in ("mm", "unknown"):
            affine[:3] *= _MILLIMETRES[unit]
            notes.append(f"its header counts in {unit}s; read as millimetres")
        sform, qform = int(header["sform_code"]), int(header["qform_code"])
        if sform <= 0 and qform <= 0:
            notes.append("neither qform nor sform is set: left and right are a guess")
        elif sform > 0 and qform > 0 and not _agree(header):
            notes.append("qform and sform disagree; the sform is used")
    elif isinstance(header, nib.AnalyzeHeader):
        notes.append("Analyze files do not say which side is left: left and right are a guess")
    axes = affine[:3, :3]
    norm = np.linalg.norm(axes, axis=0)
    if np.isfinite(axes).all() and (norm > 0).all():
        cosines = np.abs((axes / norm).T @ (axes / norm) - np.eye(3)).max()
        if cosines > 1e-2:
            notes.append(f"its axes are not at right angles (cosine {cosines:.2f})")
    return affine, tuple(notes)


def _unit(header: Any) -> str:
    try:
        unit = header.get_xyzt_units()[0]
    except KeyError:  # an unknown code
        return "unknown"
    return unit if unit in _MILLIMETRES else "unknown"


def _agree(header: Any) -> bool:
    try:
        qform = header.get_qform()
    except Exception:  # a quaternion that is none; the sform is the one in use
        return False
    tolerance = 0.05 * float(np.linalg.norm(header.get_sform()[:3, :3], axis=0).min())
    return bool(np.allclose(qform, header.get_sform(), atol=max(tolerance, 1e-3)))
