"""One preprocessed case on disk: a folder of plain arrays that can be memory-mapped.

``image.npy`` float32 ``(C, *S)``, ``label.npy`` uint8 ``(*S)``, ``locations.npz`` (class index ->
uint16 or int32 voxel coordinates), ``case.json`` (id, record, grid, checksums). No pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medseg.data.prepare.preprocess import Prepared
from medseg.data.prepare.steps import Step, record_from_dict, record_to_dict
from medseg.geometry import Grid

# nnU-Net keeps 10,000 voxels of each class, or 1 % of a class that has more than a million.
LOCATIONS = 10_000
LOCATIONS_FRACTION = 0.01

_ARRAYS = ("image.npy", "label.npy", "locations.npz")


@dataclass(frozen=True, eq=False)
class CachedCase:
    """A preprocessed case.

    Attributes:
        id: the case's.
        image: float32 ``(C, *S)``, read-only and memory-mapped unless loaded into memory.
        label: uint8 indices ``(*S)``.
        locations: class index -> voxel coordinates int32 ``(N, ndim)``; background and absent
            classes are missing.
        record: the preprocessing steps.
        grid: where the voxels of ``image`` lie.
        entry: the folder it came from, or ``None``.
    """

    id: str
    image: np.ndarray
    label: np.ndarray
    locations: Mapping[int, np.ndarray]
    record: tuple[Step, ...]
    grid: Grid
    entry: Path | None = None
    mmap: bool = field(default=False, repr=False)

    # A memory map sent to another process would arrive as a copy of the whole array.
    def __reduce__(self) -> tuple:
        if self.mmap and self.entry is not None:
            return load, (self.entry,)
        state = (self.id, self.image, self.label, dict(self.locations), self.record, self.grid)
        return CachedCase, (*state, self.entry)


def load(entry: Path, *, mmap: bool = True) -> CachedCase:
    """Open an entry; ``mmap=False`` reads the arrays into memory.

    Raises:
        OSError, ValueError: the entry is damaged; `intact` and `verify` tell.
    """
    state = json.loads((entry / "case.json").read_text())
    mode: Literal["r"] | None = "r" if mmap else None
    with np.load(entry / "locations.npz", allow_pickle=False) as archive:
        locations = {int(name): archive[name].astype(np.int32) for name in archive.files}
    return CachedCase(
        id=state["id"],
        image=np.load(entry / "image.npy", mmap_mode=mode, allow_pickle=False),
        label=np.load(entry / "label.npy", mmap_mode=mode, allow_pickle=False),
        locations=locations,
        record=record_from_dict(state["record"]),
        grid=Grid.from_dict(state["grid"]),
        entry=entry,
        mmap=mmap,
    )


def write(folder: Path, case_id: str, prepared: Prepared, extra: Mapping[str, Any]) -> None:
    """Write an entry's files into an existing empty folder, each flushed to the disk.

    Args:
        folder: where to; not yet the entry's final place.
        case_id: the case's.
        prepared: with a label.
        extra: what else ``case.json`` shall say (the key, the sources).
    """
    assert prepared.label is not None
    locations = sample_locations(prepared.label)
    small = np.uint16 if max(prepared.label.shape) <= 65535 else np.int32
    packed: dict[str, Any] = {str(k): v.astype(small) for k, v in locations.items()}
    for name, save in (
        ("image.npy", lambda f: np.save(f, prepared.image, allow_pickle=False)),
        ("label.npy", lambda f: np.save(f, prepared.label, allow_pickle=False)),
        ("locations.npz", lambda f: np.savez(f, allow_pickle=False, **packed)),
    ):
        with (folder / name).open("wb") as file:
            save(file)
            file.flush()
            os.fsync(file.fileno())
    state = {
        "id": case_id,
        "shape": list(prepared.label.shape),
        "grid": prepared.grid.to_dict(),
        "record": record_to_dict(prepared.record),
        "files": {n: [(folder / n).stat().st_size, checksum(folder / n)] for n in _ARRAYS},
        **extra,
    }
    with (folder / "case.json").open("w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())


def intact(entry: Path) -> bool:
    """Tell in a moment whether every file is there with the size it was written with."""
    try:
        files = json.loads((entry / "case.json").read_text())["files"]
        return all((entry / name).stat().st_size == files[name][0] for name in _ARRAYS)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def verify(entry: Path) -> bool:
    """Tell whether every file still holds the bytes that were written; reads them all."""
    if not intact(entry):
        return False
    files = json.loads((entry / "case.json").read_text())["files"]
    return all(checksum(entry / name) == files[name][1] for name in _ARRAYS)


def checksum(path: Path) -> str:
    """Hash a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def sample_locations(index: np.ndarray, *, most: int = LOCATIONS) -> dict[int, np.ndarray]:
    """Pick voxels of each foreground class of ``(*S)``, evenly and the same ones every time.

    Returns:
        Class index -> int32 coordinates ``(N, ndim)`` in scan order, N at most 10,000 or 1 % of
        the class, whichever is more.
    """
    flat = index.reshape(-1)
    inside = np.flatnonzero(flat)
    labels = flat[inside]
    out = {}
    for label in np.flatnonzero(np.bincount(labels, minlength=1)):
        voxels = inside[labels == label]
        keep = max(most, int(np.ceil(len(voxels) * LOCATIONS_FRACTION)))
        if len(voxels) > keep:
            picked = np.random.default_rng(0).choice(len(voxels), keep, replace=False)
            voxels = voxels[np.sort(picked)]
        out[int(label)] = np.stack(np.unravel_index(voxels, index.shape), axis=1).astype(np.int32)
    return out
