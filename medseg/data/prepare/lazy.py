"""A case of the cache that is opened when somebody looks into it."""

from __future__ import annotations

import logging
import mmap
from collections import deque
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from medseg.data.prepare.entry import Arrays, boxes_of, load, open_arrays
from medseg.data.prepare.row import Damaged, Row, read_state
from medseg.data.prepare.steps import Step
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.geometry.boxes import Boxes

_log = logging.getLogger(__name__)

# Linux allows 65,530 maps a process, and an open case holds three.
_MOST_MAPPED = 5000


class Verified:
    """Which cases of a list have been compared with their checksums, shared by forked processes.

    Args:
        count: length of the list.
    """

    def __init__(self, count: int) -> None:
        self._flags = mmap.mmap(-1, max(count, 1))
        self._count = count

    def __getitem__(self, position: int) -> bool:
        return self._flags[position] != 0

    def mark(self, position: int) -> None:
        """Note that a case's contents are right."""
        self._flags[position] = 1

    # A process that is started afresh looks for itself.
    def __reduce__(self) -> tuple:
        return Verified, (self._count,)


class LazyCase:
    """A preprocessed case; its files are opened, and compared with their checksums, on first use.

    Args:
        id: the case's.
        entry: its folder.
        row: what is known of it.
        in_memory: read the arrays whole on first use; else they are memory-mapped.
        verified: where it is noted that the contents were compared, and the place in it.
        mapped: the open memory-mapped cases of this process; the oldest is closed for a new one.
        repair: rebuilds the entry from its source.
    """

    __slots__ = (
        "_arrays",
        "_listed",
        "_mapped",
        "_repair",
        "_verified",
        "entry",
        "id",
        "in_memory",
        "row",
    )

    def __init__(
        self,
        id: str,
        entry: Path,
        row: Row,
        *,
        in_memory: bool = False,
        verified: tuple[Verified, int] | None = None,
        mapped: deque[LazyCase] | None = None,
        repair: Callable[[str], Row] | None = None,
    ) -> None:
        self.id, self.entry, self.row, self.in_memory = id, entry, row, in_memory
        self._verified = verified or (Verified(1), 0)
        self._mapped: deque[LazyCase] = deque() if mapped is None else mapped
        self._repair = repair
        self._arrays: Arrays | None = None
        self._listed: tuple[Boxes | None, ...] = ()

    def __repr__(self) -> str:
        return f"LazyCase({self.id!r}, shape={self.shape}, channels={self.channels})"

    @property
    def image(self) -> np.ndarray:
        """Float32 ``(C, *S)``, read-only if memory-mapped."""
        return self._open().image

    @property
    def label(self) -> np.ndarray:
        """Class indices, uint8 ``(*S)``."""
        return self._open().label

    @property
    def guide(self) -> np.ndarray | None:
        """What an earlier stage found, class indices, uint8 ``(*S)``; ``None``: nobody looked."""
        return self._open().guide

    @property
    def locations(self) -> Mapping[int, np.ndarray]:
        """Class index -> voxel coordinates ``(N, ndim)``; absent classes are missing."""
        return self._open().locations

    @property
    def boxes(self) -> Boxes | None:
        """The objects, on the grid of ``image``; ``None`` of a case that is to be segmented."""
        if not self._listed:
            try:
                state = read_state(self.entry)
            except Damaged as error:
                self._mend(error)
                state = read_state(self.entry)
            self._listed = (boxes_of(state),)
        return self._listed[0]

    @property
    def record(self) -> tuple[Step, ...]:
        """The preprocessing steps; read from the disk each time."""
        return load(self.entry).record

    @property
    def grid(self) -> Grid:
        """Where the voxels of ``image`` lie; read from the disk each time."""
        return load(self.entry).grid

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels per axis ``(*S)``; no file is opened."""
        return self.row.shape

    @property
    def channels(self) -> int:
        """Number of the image's channels; no file is opened."""
        return self.row.channels

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays; no file is opened."""
        return sum(self.row.sizes[:-1])

    def load(self) -> LazyCase:
        """Read the arrays into memory now, and keep them there."""
        if not self.in_memory:
            self.close()
            self.in_memory = True
        self._open()
        return self

    def close(self) -> None:
        """Forget the arrays; they are opened again when needed."""
        self._arrays = None

    def _open(self) -> Arrays:
        arrays = self._arrays
        if arrays is None:
            arrays = self._arrays = self._read()
            if not self.in_memory:
                self._mapped.append(self)
                if len(self._mapped) > _most_mapped():
                    oldest = self._mapped.popleft()
                    if not oldest.in_memory:
                        oldest.close()
        # Not what is held: another thread may have closed this case meanwhile.
        return arrays

    def _read(self) -> Arrays:
        flags, position = self._verified
        mmap = not self.in_memory
        try:
            arrays = open_arrays(self.entry, self.row, mmap=mmap, verified=flags[position])
        except Damaged as error:
            self._mend(error)
            arrays = open_arrays(self.entry, self.row, mmap=mmap, verified=False)
        flags.mark(position)
        return arrays

    def _mend(self, damage: Damaged) -> None:
        """Make the entry anew from its source.

        Raises:
            InputError: that cannot be done here.
        """
        if self._repair is None:
            raise InputError(
                f"case {self.id}: the cached files are damaged",
                file=self.entry,
                found=str(damage),
                remedy="run again: what is damaged is made anew from its source",
            ) from damage
        self.row = self._repair(self.id)
        _log.warning("case %s: the cached files were damaged; made anew from their source", self.id)

    # To another process only the path travels.
    def __reduce__(self) -> tuple:
        return _again, (self.id, self.entry, self.row, self.in_memory)


def _again(id: str, entry: Path, row: Row, in_memory: bool) -> LazyCase:
    return LazyCase(id, entry, row, in_memory=in_memory)


@lru_cache(maxsize=1)
def _most_mapped() -> int:
    """Say how many cases may be open: a map holds a file descriptor, and a case has three maps."""
    try:
        from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit
    except ImportError:  # not on Windows, where maps hold none
        return _MOST_MAPPED
    allowed, _ = getrlimit(RLIMIT_NOFILE)
    if allowed == RLIM_INFINITY:
        return _MOST_MAPPED
    return max(8, min(_MOST_MAPPED, allowed // 6))
