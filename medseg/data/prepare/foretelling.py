"""What a data set looks like from a few files' headers, before anything is read."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from pathlib import Path

from medseg.data.case import Case, Dataset
from medseg.data.prepare.few_objects import canonical_axes, few_objects
from medseg.data.prepare.headers import grid_of
from medseg.data.prepare.raw import NIFTI, suffix
from medseg.data.splits import evenly
from medseg.errors import InputError
from medseg.planning.fingerprint import CaseFingerprint, Fingerprint, Intensity

# Enough for a median; whole files are opened where a header cannot be had alone.
_HEADERS, _WHOLE_FILES = 32, 4
_UNKNOWN = Intensity(count=1, min=0, max=1, mean=0, std=1, p00_5=0, median=0, p99_5=1)


def foretell_fingerprint(dataset: Dataset) -> Fingerprint:
    """Guess the fingerprint from the headers of a few cases; the others count as their likes.

    Shapes are those of whole images: empty margins are not known before an image is read. Where
    objects are to be found, those of a few cases stand for all.

    Raises:
        InputError: there is no labelled case, or one of these cannot be read.
    """
    if not dataset.cases:
        raise InputError("the data set has no labelled case", file=dataset.root)
    nifti = suffix(Path(dataset.cases[0].images[0])) in NIFTI
    some = evenly(dataset.cases, _HEADERS if nifti else _WHOLE_FILES)
    seen = [_case(case, len(dataset.labels.values)) for case in some]
    objects = [None] if dataset.objects is None else few_objects(dataset)
    count = len(dataset.cases)
    cases = [
        replace(
            seen[i * len(seen) // count], id=case.id, objects=objects[i * len(objects) // count]
        )
        for i, case in enumerate(dataset.cases)
    ]
    channels = len(dataset.channels)
    return Fingerprint(
        channels=dataset.channels,
        labels=dataset.labels.to_dict(),
        cases=tuple(cases),
        foreground=(_UNKNOWN,) * channels,
    )


def _case(case: Case, labels: int) -> CaseFingerprint:
    grid = grid_of(Path(case.images[0]))
    axes = canonical_axes(grid)
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
