"""What is known of an entry of the cache without opening its arrays."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

# The last only where an earlier stage guides.
ARRAYS = ("image.npy", "label.npy", "locations.npy", "guide.npy")
STATE = "case.json"

CHECKSUM = ', "checksum": '


class Damaged(Exception):
    """An entry does not hold what was written into it."""


class Row(NamedTuple):
    """All that opening an entry's arrays needs to know, so that ``case.json`` need not be read.

    Attributes:
        shape: voxels per axis ``(*S)``.
        channels: of the image.
        counts: voxels per label index, background first.
        locations: class indices that have locations, and how many each.
        checksums: CRC-32 of each of `ARRAYS` that it has.
        sizes: bytes of each of these, and of `STATE`.
        changed_ns: when the newest of the files was last changed in any way, as the system counts.
    """

    shape: tuple[int, ...]
    channels: int
    counts: tuple[int, ...]
    locations: tuple[tuple[int, int], ...]
    checksums: tuple[int, ...]
    sizes: tuple[int, ...]
    changed_ns: int

    @classmethod
    def of(cls, entry: Path, state: Mapping[str, Any] | None = None) -> Row:
        """Describe an entry, whose ``case.json`` says ``state``.

        Raises:
            Damaged: its files are not all there with the size that they were written with.
        """
        state = read_state(entry) if state is None else state
        files = [state["files"][name] for name in ARRAYS if name in state["files"]]
        seen = look(entry, len(files))
        if seen is None or list(seen[0][:-1]) != [size for size, _ in files]:
            raise Damaged(f"{entry} is not whole")
        return cls(
            tuple(state["shape"]),
            state["channels"],
            tuple(state["counts"]),
            tuple((label, count) for label, count in state["locations"]),
            tuple(value for _, value in files),
            *seen,
        )


def read_state(entry: Path) -> dict[str, Any]:
    """Read what ``case.json`` says.

    Raises:
        Damaged: it is missing, or was changed.
    """
    try:
        raw = (entry / STATE).read_bytes()
        text, _, value = raw.rpartition(CHECKSUM.encode())
        if zlib.crc32(text) != int(value[:-1]):
            raise Damaged(f"{entry / STATE} was changed")
        return json.loads(raw)
    except (OSError, ValueError) as error:
        raise Damaged(f"{entry / STATE}: {error}") from error


def look(entry: Path, arrays: int) -> tuple[tuple[int, ...], int] | None:
    """Give the sizes of an entry's files and the newest change; ``None`` where one is missing.

    ``arrays``: how many of `ARRAYS` it has.
    """
    folder = os.fspath(entry)
    try:
        # Making a Path takes longer than asking the system.
        found = [os.stat(f"{folder}/{name}") for name in (*ARRAYS[:arrays], STATE)]  # noqa: PTH116
    except OSError:
        return None
    return tuple(s.st_size for s in found), max(max(s.st_mtime_ns, s.st_ctime_ns) for s in found)
