"""Hashes of source files, remembered so that an unchanged file is not read again."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path

from medseg.atomic import replacing
from medseg.data.prepare.entry import checksum
from medseg.data.prepare.raw import companions
from medseg.errors import InputError

# A file written in the same tick of the clock as its hash was taken could change unnoticed.
_SETTLED_SECONDS = 2.0


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

    def digest(self, path: Path) -> str:
        """Hash the contents of an image file and of the files it points to.

        Raises:
            InputError: a file is missing or cannot be read.
        """
        try:
            parts = [self._digest(part) for part in companions(path)]
        except OSError as error:
            raise InputError(
                "the file cannot be read",
                file=path,
                expected="a file that you may read",
                found=error.strerror or str(error),
            ) from error
        if len(parts) == 1:
            return parts[0]
        return hashlib.blake2b("".join(parts).encode(), digest_size=16).hexdigest()

    def _digest(self, path: Path) -> str:
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns]
        name = str(path.absolute())
        known = self._known.get(name)
        if isinstance(known, list) and known[:2] == stamp and len(known) == 3:
            return known[2]
        digest = checksum(path)
        if time.time() - status.st_mtime > _SETTLED_SECONDS:
            self._known[name] = self._new[name] = [*stamp, digest]
        return digest

    def save(self) -> None:
        """Remember what is new, beside what other processes have remembered meanwhile."""
        if not self._new:
            return
        merged = {**Sources(self._memo)._known, **self._new}
        with replacing(self._memo) as temporary:
            temporary.write_text(json.dumps(merged))
        self._new = {}
