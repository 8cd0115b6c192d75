"""Room on the disk: what a cache will take, and what to say when it is full."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable
from math import ceil, prod
from pathlib import Path

from medseg.errors import InputError
from medseg.planning.axes import as_oriented
from medseg.planning.fingerprint import CaseFingerprint, Fingerprint
from medseg.planning.plan import PreprocessingPlan
from medseg.planning.spacing import absurd

# Coordinates of foreground voxels, the case's JSON, and what a file system rounds up.
_BESIDES = 200_000


class DiskFull(InputError):
    """There is no space left; the work that needs it stops at once."""


def expected_bytes(
    fingerprint: Fingerprint,
    plan: PreprocessingPlan,
    case_ids: Iterable[str] | None = None,
    *,
    guided: bool = False,
) -> int:
    """Foretell the size of the cache of some cases, or of all; seldom off by more than a tenth.

    ``guided``: it holds what an earlier stage found, too.
    """
    chosen = None if case_ids is None else set(case_ids)
    cases = (c for c in fingerprint.cases if chosen is None or c.id in chosen)
    return sum(_size(case, plan, maps=1 + guided) for case in cases)


def prepared_shape(case: CaseFingerprint, plan: PreprocessingPlan) -> tuple[int, ...]:
    """Foretell the voxels per axis of a preprocessed case, on the plan's axes."""
    shape, spacing = _kept(case, plan), case.spacing
    if plan.orientation is not None:
        shape, spacing = (as_oriented(values, plan.orientation) for values in (shape, spacing))
    sizes = zip(shape, spacing, plan.spacing, strict=True)
    return tuple(max(1, round(n * old / new)) for n, old, new in sizes)


def _kept(case: CaseFingerprint, plan: PreprocessingPlan) -> tuple[int, ...]:
    return case.cropped_shape if plan.crop == "nonzero" else case.shape


def _size(case: CaseFingerprint, plan: PreprocessingPlan, *, maps: int) -> int:
    resampled = prepared_shape(case, plan)
    if absurd(_kept(case, plan), resampled):  # preprocessing will refuse the case, and say why
        return 0
    labelled = sum(case.label_voxels[1:])
    voxels = prod(resampled)
    return voxels * (4 * len(plan.normalisation) + maps) + min(_BESIDES, 8_000 + 6 * labelled)


def free_bytes(folder: Path) -> int:
    """Say how much a folder, or the nearest one above it that exists, has left."""
    for place in (folder.absolute(), *folder.absolute().parents):
        if place.is_dir():
            return shutil.disk_usage(place).free
    return 0


def require_space(folder: Path, needed: int) -> None:
    """Refuse to begin what will not fit.

    Raises:
        DiskFull: saying how much is needed and how much is there.
    """
    free = free_bytes(folder)
    if needed > free:
        raise disk_full(folder, needed=f"about {gigabytes(needed)} for the cases to come")


def disk_full(folder: Path, *, needed: str) -> DiskFull:
    """Make the error of a full disk."""
    return DiskFull(
        "there is no space left on the disk for preprocessed cases",
        file=folder,
        expected=needed,
        found=f"{gigabytes(free_bytes(folder))} free",
        remedy="free some space, or choose another folder with run_dir=FOLDER, and run again: "
        "what is done is kept",
    )


def is_full(error: OSError) -> bool:
    """Tell a full disk, or a used-up quota, from other failures."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def gigabytes(size: int) -> str:
    """Write a size for people: ``3.2 GB``, ``40 MB``, ``3.62 MB``."""
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{ceil(size / 1e6)} MB" if size >= 1e7 else f"{size / 1e6:.2f} MB"
