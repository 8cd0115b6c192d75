"""What lies in a cache: one file that knows every entry, and what a data set finds through it.

Ten thousand entries are known by reading one file and looking at sizes and times; none is opened.
An entry whose files were touched since it was last known to be right is read and compared.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from medseg.atomic import replacing
from medseg.data.prepare.lazy import LazyCase, Verified
from medseg.data.prepare.row import STATE, Row, look
from medseg.data.prepare.sources import SETTLED_SECONDS

NAME = "index.json"


@dataclass(frozen=True)
class CacheIndex:
    """Where each case of a data set lies.

    Attributes:
        root: the cache.
        entries: case id -> folder, in the order of the data set.
        rows: case id -> what is known of it.
        built: ids of the cases that were made now.
        repair: makes one case's entry anew from its source.
    """

    root: Path
    entries: Mapping[str, Path]
    rows: Mapping[str, Row]
    built: tuple[str, ...] = ()
    repair: Callable[[str], Row] | None = None
    _verified: Verified = field(default_factory=lambda: Verified(0), repr=False)
    _mapped: deque[LazyCase] = field(default_factory=deque, repr=False)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {case: number for number, case in enumerate(self.entries)}

    @property
    def counts(self) -> dict[str, tuple[int, ...]]:
        """Voxels per label index on the prepared grid, background first, by case id."""
        return {case: row.counts for case, row in self.rows.items()}

    def nbytes(self, case_ids: Iterable[str] | None = None) -> int:
        """Bytes of the arrays of some cases, or of all."""
        chosen = self.rows if case_ids is None else case_ids
        return sum(sum(self.rows[case].sizes[:-1]) for case in chosen)

    def load(self, case_id: str, *, mmap: bool = True) -> LazyCase:
        """Give one case; nothing is opened until it is looked into."""
        return self.load_all([case_id], mmap=mmap)[0]

    def load_all(
        self, case_ids: Sequence[str] | None = None, *, mmap: bool = True
    ) -> list[LazyCase]:
        """Give several cases, or all; nothing is opened until they are looked into."""
        return [
            LazyCase(
                case,
                self.entries[case],
                self.rows[case],
                in_memory=not mmap,
                verified=(self._verified, self._place[case]),
                mapped=self._mapped,
                repair=self.repair,
            )
            for case in (self.entries if case_ids is None else case_ids)
        ]


class Ledger:
    """The rows of all entries of a cache, kept in one file.

    Args:
        root: the cache. A ledger that is lost, damaged or of another schema costs time only.
        schema: of the entries; those of an older one are `outdated`, ``newer`` are so many.
    """

    def __init__(self, root: Path, schema: int) -> None:
        self._root, self._schema = root, schema
        self._rows = self._read()
        self._changed = False
        there = _folders(root)
        self._gone = self._rows.keys() - there
        self.outdated: dict[str, int | None] = {}
        self.newer = 0
        for name in sorted(there - self._rows.keys()):
            found = _schema_of(root / name)
            if found is None or found < schema:
                self.outdated[name] = found
            self.newer += found is not None and found > schema

    def current(self, name: str) -> Row | None:
        """Give an entry's row if nothing touched its files since they were known to be right."""
        row = self._rows.get(name)
        if row is None or name in self._gone:
            return None
        seen = look(self._root / name, len(row.checksums))
        return row if seen == (row.sizes, row.changed_ns) and row.changed_ns else None

    def add(self, name: str, row: Row) -> None:
        """Note an entry that is right."""
        self._rows[name] = row
        self._gone.discard(name)
        self._changed = True

    def save(self) -> None:
        """Write what is new, beside what other processes have written meanwhile."""
        if not self._changed:
            return
        rows = {**self._read(), **self._rows}
        settled = time.time_ns() - int(SETTLED_SECONDS * 1e9)
        lines = {
            # Changed once more in this tick of the clock, a file would look the same.
            name: [*row[:-1], row.changed_ns if row.changed_ns < settled else 0]
            for name, row in rows.items()
            if name not in self._gone
        }
        with replacing(self._root / NAME) as temporary:
            temporary.write_text(json.dumps({"schema": self._schema, "entries": lines}))
        self._changed = False

    def _read(self) -> dict[str, Row]:
        with suppress(OSError, ValueError, TypeError, AttributeError, KeyError):
            state = json.loads((self._root / NAME).read_bytes())
            if state["schema"] == self._schema:
                return {name: _row(*values) for name, values in state["entries"].items()}
        return {}


def _row(
    shape: list[int],
    channels: int,
    counts: list[int],
    locations: list[list[int]],
    checksums: list[int],
    sizes: list[int],
    changed_ns: int,
) -> Row:
    return Row(
        tuple(shape),
        channels,
        tuple(counts),
        tuple((label, count) for label, count in locations),
        tuple(checksums),
        tuple(sizes),
        changed_ns,
    )


def _folders(root: Path) -> set[str]:
    try:
        with os.scandir(root) as listed:
            return {item.name for item in listed if item.name[0] != "." and item.is_dir()}
    except OSError:
        return set()


def _schema_of(entry: Path) -> int | None:
    """Tell the schema of an entry that the ledger does not know; ``None`` for what is no entry."""
    try:
        found = json.loads((entry / STATE).read_bytes())["schema"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, int) else None
