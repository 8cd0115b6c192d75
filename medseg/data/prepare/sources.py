"""Source files: their contents' hashes, remembered, and whether they changed while we worked."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from medseg.atomic import replacing
from medseg.data.prepare.raw import companions
from medseg.errors import InputError

# A file written in the same tick of the clock as its hash was taken could change unnoticed.
SETTLED_SECONDS = 2.0


class Stamp(NamedTuple):
    """A file as it was when it was looked at."""

    path: str
    size: int
    mtime_ns: int


class Seen(NamedTuple):
    """An image file: hash of its contents and of the files it points to, and all their stamps."""

    digest: str
    stamps: tuple[Stamp, ...]


class Sources:
    """Content hashes by path, size and time of modification.

    Args:
        memo: the file that remembers; losing it, or a race over it, costs time only.
    """

    def __init__(self, memo: Path) -> None:
        self._memo = memo
        self._known: dict[str, list] = {}
        self._new: dict[str, list] = {}
        with suppress(OSError, ValueError):
            known = json.loads(memo.read_text())
            self._known = known if isinstance(known, dict) else {}

    def look(self, path: Path) -> Seen:
        """Hash the contents of an image file and of the files it points to.

        Raises:
            InputError: a file is missing, cannot be read, or changes while it is.
        """
        try:
            parts = [self._look(os.path.abspath(part)) for part in companions(path)]  # noqa: PTH100
        except OSError as error:
            raise InputError(
                "the file cannot be read",
                file=path,
                expected="a file that you may read",
                found=error.strerror or str(error),
            ) from error
        stamps = tuple(stamp for _, stamp in parts)
        if len(parts) == 1:
            return Seen(parts[0][0], stamps)
        together = "".join(digest for digest, _ in parts).encode()
        return Seen(hashlib.blake2b(together, digest_size=16).hexdigest(), stamps)

    def _look(self, name: str) -> tuple[str, Stamp]:
        found = stamp(name)
        known = self._known.get(name)
        if isinstance(known, list) and known[:2] == [found.size, found.mtime_ns]:
            return known[2], found
        digest = file_digest(name)
        unchanged([found])
        if time.time() - found.mtime_ns / 1e9 > SETTLED_SECONDS:
            self._known[name] = self._new[name] = [found.size, found.mtime_ns, digest]
        return digest, found

    def save(self) -> None:
        """Remember what is new, beside what other processes have remembered meanwhile."""
        if not self._new:
            return
        merged = {**Sources(self._memo)._known, **self._new}
        with replacing(self._memo) as temporary:
            temporary.write_text(json.dumps(merged))
        self._new = {}


def stamp(path: str | Path) -> Stamp:
    """Look at a file's size and time of modification."""
    status = os.stat(path)  # noqa: PTH116  ten thousand Paths take longer than the calls
    return Stamp(os.fspath(path), status.st_size, status.st_mtime_ns)


def unchanged(stamps: Iterable[Stamp]) -> None:
    """Make sure that files are still those that were looked at.

    Raises:
        InputError: one was removed or changed meanwhile; which and how is said.
    """
    for before in stamps:
        try:
            now = stamp(before.path)
        except OSError as error:
            raise InputError(
                "the file went away while this job used it",
                file=before.path,
                expected=_describe(before),
                found=error.strerror or str(error),
                remedy="put it back, or run again: what was made from it is made anew",
            ) from error
        if now != before:
            raise InputError(
                "the file changed while this job used it",
                file=before.path,
                expected=_describe(before),
                found=_describe(now),
                remedy="wait until nothing writes to the data, and run again: what was made from "
                "the file is made anew",
            )


def file_digest(path: str | Path) -> str:
    """Hash a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _describe(seen: Stamp) -> str:
    changed = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seen.mtime_ns // 10**9))
    return f"{seen.size} bytes, changed {changed}"
