"""What a data set looks like from a few files' headers, before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from medseg.data.case import Case, Dataset
from medseg.data.prepare.preprocess import plan_reorient
from medseg.data.prepare.raw import NIFTI, load, suffix
from medseg.data.splits import evenly
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.planning.fingerprint import CaseFingerprint, Fingerprint, Intensity

# Enough for a median; whole files are opened where a header cannot be had alone.
_HEADERS, _WHOLE_FILES = 32, 4
_UNKNOWN = Intensity(count=1, min=0, max=1, mean=0, std=1, p00_5=0, median=0, p99_5=1)


def foretell_fingerprint(dataset: Dataset) -> Fingerprint:
    """Guess the fingerprint from the headers of a few cases; the others count as their likes.

    Shapes are those of whole images: empty margins are not known before an image is read.

    Raises:
        InputError: there is no labelled case, or one of these cannot be read.
    """
    if not dataset.cases:
        raise InputError("the data set has no labelled case", file=dataset.root)
    nifti = suffix(Path(dataset.cases[0].images[0])) in NIFTI
    some = evenly(dataset.cases, _HEADERS if nifti else _WHOLE_FILES)
    seen = [_case(case, len(dataset.labels.values)) for case in some]
    cases = [
        replace(seen[i * len(seen) // len(dataset.cases)], id=case.id)
        for i, case in enumerate(dataset.cases)
    ]
    channels = len(dataset.channels)
    return Fingerprint(
        channels=dataset.channels,
        labels=dataset.labels.to_dict(),
        cases=tuple(cases),
        foreground=(_UNKNOWN,) * channels,
    )


def grid_of(path: Path) -> Grid:
    """Give the grid of an image; of a NIfTI file without reading its voxels."""
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


def _case(case: Case, labels: int) -> CaseFingerprint:
    grid = grid_of(Path(case.images[0]))
    axes: Sequence[int] = range(grid.ndim) if grid.ndim == 2 else plan_reorient(grid, "RAS").axes
    shape = tuple(grid.shape[a] for a in axes)
    return CaseFingerprint(
        id=case.id,
        shape=shape,
        spacing=tuple(float(grid.spacing[a]) for a in axes),
        orientation=None,
        cropped_shape=shape,
        image_dtype="",
        label_dtype="",
        foreground=(),
        nonzero=(),
        label_voxels=(prod(shape), *[0] * (labels - 1)),
    )
