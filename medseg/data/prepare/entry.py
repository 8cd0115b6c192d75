"""One preprocessed case on disk: a folder of plain arrays that can be memory-mapped.

``image.npy`` float32 ``(C, *S)``, ``label.npy`` uint8 ``(*S)``, ``locations.npy`` (coordinates of
foreground voxels ``(N, ndim)``, class after class), ``guide.npy`` uint8 ``(*S)`` (what an earlier
stage found, where one guides), ``case.json`` (what is in them, their checksums, and the boxes where
objects are to be found). No pickle.

Files are not synced one by one: what a power cut leaves of them has another size or another
checksum than ``case.json`` says, and is made anew.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from math import prod
from mmap import ACCESS_READ
from mmap import mmap as mmap_file
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medseg.data.prepare.locations import count_voxels, pack, sample_locations, unpack
from medseg.data.prepare.preprocess import Prepared
from medseg.data.prepare.row import ARRAYS, CHECKSUM, STATE, Damaged, Row, read_state
from medseg.data.prepare.steps import Step, record_from_dict, record_to_dict
from medseg.geometry import Grid
from medseg.geometry.boxes import Boxes

_BLOCK = 1 << 20


class Arrays(NamedTuple):
    """An entry's arrays.

    Attributes:
        image: float32 ``(C, *S)``.
        label: uint8 indices ``(*S)``.
        locations: class index -> voxel coordinates ``(N, ndim)``.
        guide: uint8 indices ``(*S)`` of an earlier stage, or ``None``.
    """

    image: np.ndarray
    label: np.ndarray
    locations: dict[int, np.ndarray]
    guide: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class CachedCase:
    """A preprocessed case, opened.

    Attributes:
        id: the case's.
        image: float32 ``(C, *S)``, read-only and memory-mapped unless loaded into memory.
        label: uint8 indices ``(*S)``.
        locations: class index -> voxel coordinates ``(N, ndim)``; background and absent classes
            are missing.
        record: the preprocessing steps.
        grid: where the voxels of ``image`` lie.
        entry: the folder it came from, or ``None``.
        guide: uint8 indices ``(*S)`` of an earlier stage, or ``None``.
        boxes: the objects, on the grid of ``image``, or ``None``.
    """

    id: str
    image: np.ndarray
    label: np.ndarray
    locations: Mapping[int, np.ndarray]
    record: tuple[Step, ...]
    grid: Grid
    entry: Path | None = None
    guide: np.ndarray | None = None
    boxes: Boxes | None = None
    mmap: bool = field(default=False, repr=False)

    # A memory map sent to another process would arrive as a copy of the whole array.
    def __reduce__(self) -> tuple:
        if self.mmap and self.entry is not None:
            return load, (self.entry,)
        state = (self.id, self.image, self.label, dict(self.locations), self.record, self.grid)
        return CachedCase, (*state, self.entry, self.guide, self.boxes)


def load(entry: Path, *, mmap: bool = True, verified: bool = True) -> CachedCase:
    """Open an entry.

    Args:
        entry: its folder.
        mmap: map the arrays; else they are read into memory.
        verified: the contents are known to be right; else their checksums are compared first.

    Raises:
        Damaged: a file is missing, cut short, or not what was written.
    """
    state = read_state(entry)
    arrays = open_arrays(entry, Row.of(entry, state), mmap=mmap, verified=verified)
    return CachedCase(
        state["id"],
        arrays.image,
        arrays.label,
        arrays.locations,
        guide=arrays.guide,
        record=record_from_dict(state["record"]),
        grid=Grid.from_dict(state["grid"]),
        entry=entry,
        boxes=boxes_of(state),
        mmap=mmap,
    )


def boxes_of(state: Mapping[str, Any]) -> Boxes | None:
    """Give the boxes that ``case.json`` lists, or ``None`` of a case that is to be segmented."""
    listed = state.get("boxes")
    if listed is None:
        return None
    corners = np.array(listed["corners"], dtype=np.float64)
    return Boxes(corners.reshape(-1, 2 * len(state["shape"])), np.array(listed["classes"]))


def open_arrays(entry: Path, row: Row, *, mmap: bool, verified: bool) -> Arrays:
    """Map or read an entry's arrays; raises as `load` does.

    A map holds a file descriptor, of which systems often allow 1024.
    """
    shape, ndim = row.shape, len(row.shape)
    small = np.uint16 if max(shape) <= 65535 else np.int32
    wanted = (
        (np.float32, (row.channels, *shape)),
        (np.uint8, shape),
        (small, (sum(count for _, count in row.locations), ndim)),
        (np.uint8, shape),
    )[: len(row.checksums)]
    found = []
    try:
        for number, (kind, size) in enumerate(wanted):
            held = _map(entry, number) if mmap else _read(entry, number)
            body = prod(size) * np.dtype(kind).itemsize
            if len(held) != row.sizes[number] or len(held) < body:
                raise Damaged(f"{entry / ARRAYS[number]}: {len(held)} bytes are there")
            if not verified and zlib.crc32(held) != row.checksums[number]:
                raise Damaged(f"{entry / ARRAYS[number]} is not what was written")
            # The header says nothing new, and NumPy takes longer to read it than all the rest.
            array = np.frombuffer(held, kind, offset=len(held) - body)
            found.append(array.reshape(size))
    except (OSError, ValueError) as error:
        raise Damaged(f"{entry}: {error}") from error
    locations = unpack(found[2], dict(row.locations))
    return Arrays(found[0], found[1], locations, found[3] if len(found) > 3 else None)


def write(
    folder: Path,
    case_id: str,
    prepared: Prepared,
    *,
    classes: int,
    extra: Mapping[str, Any],
    boxes: Boxes | None = None,
) -> dict[str, Any]:
    """Write an entry's files into an existing empty folder.

    Args:
        folder: where to; not yet the entry's final place.
        case_id: the case's.
        prepared: with a label.
        classes: label indices that there can be, background included.
        extra: what else ``case.json`` shall say (the key, the schema).
        boxes: the objects, on the prepared grid.

    Returns:
        What ``case.json`` says.
    """
    assert prepared.label is not None
    locations = sample_locations(prepared.label)
    arrays = {
        "image.npy": prepared.image,
        "label.npy": prepared.label,
        "locations.npy": pack(locations, prepared.label.shape),
    }
    if prepared.guide is not None:
        arrays["guide.npy"] = prepared.guide
    state = {
        "id": case_id,
        "shape": list(prepared.label.shape),
        "channels": len(prepared.image),
        "counts": list(count_voxels(prepared.label, classes)),
        "locations": [[label, len(locations[label])] for label in sorted(locations)],
        "grid": prepared.grid.to_dict(),
        "record": record_to_dict(prepared.record),
        "files": {name: _save(folder / name, array) for name, array in arrays.items()},
        **extra,
    }
    if boxes is not None:
        listed = {"corners": boxes.corners.tolist(), "classes": boxes.classes.tolist()}
        state["boxes"] = listed
    text = json.dumps(state)[:-1]
    (folder / STATE).write_text(f"{text}{CHECKSUM}{zlib.crc32(text.encode())}}}")
    return state


def verify(entry: Path) -> bool:
    """Tell whether every file still holds the bytes that were written; reads them all."""
    return verified_row(entry) is not None


def verified_row(entry: Path) -> Row | None:
    """Compare an entry with its checksums; ``None`` if it is not what was written."""
    try:
        row = Row.of(entry)
    except (Damaged, KeyError, TypeError, ValueError):
        return None
    # Most entries have no guide, the last of the arrays.
    pairs = zip(ARRAYS, row.checksums, strict=False)
    right = all(checksum(entry / name) == value for name, value in pairs)
    return row if right else None


def checksum(path: Path) -> int | None:
    """Compute the CRC-32 of a file: 2 GB a second on one core, where BLAKE2 has 0.6."""
    value = 0
    try:
        with path.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                value = zlib.crc32(block, value)
    except OSError:
        return None
    return value


def _save(path: Path, array: np.ndarray) -> list[int]:
    """Write an ``.npy`` file; returns its size and checksum, taken from memory, not read back."""
    array = np.ascontiguousarray(array)
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    head, body = header.getvalue(), array.reshape(-1).view(np.uint8).data
    # Not `ndarray.tofile`: on a full disk it tells that less was written, but not why.
    with path.open("wb") as file:
        file.write(head)
        file.write(body)
    return [len(head) + len(body), zlib.crc32(body, zlib.crc32(head))]


def _map(entry: Path, number: int) -> mmap_file:
    with (entry / ARRAYS[number]).open("rb", buffering=0) as file:
        return mmap_file(file.fileno(), 0, access=ACCESS_READ)


def _read(entry: Path, number: int) -> bytearray:
    with open(f"{entry}/{ARRAYS[number]}", "rb", buffering=0) as file:  # noqa: PTH123
        held = bytearray(os.fstat(file.fileno()).st_size)
        view = memoryview(held)
        done = 0
        while done < len(held) and (count := file.readinto(view[done:])):
            done += count
    return held
