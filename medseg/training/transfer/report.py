"""What became of each weight in a transfer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any, Literal

Fate = Literal["matched", "adapted", "new", "unused"]
FATES: tuple[Fate, ...] = ("matched", "adapted", "new", "unused")


@dataclass(frozen=True)
class Entry:
    """One weight.

    Attributes:
        name: in the network; of unused ones in the file.
        fate: ``matched``: taken as it is; ``adapted``: taken for other channels or classes;
            ``new``: not in the file, as initialised; ``unused``: not in the network.
        shape: in the network; of unused ones in the file.
        source_shape: in the file, where it is another.
        how: what was adapted.
        zero: input channels that begin with zeros, as masks of a first stage that the file has not.
    """

    name: str
    fate: Fate
    shape: tuple[int, ...]
    source_shape: tuple[int, ...] | None = None
    how: str = ""
    zero: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a transfer did.

    Attributes:
        source: the file.
        kind: what kind of file it is.
        prefix: what was taken off the names in it.
        entries: the network's weights in order, then what of the file was not used.
        notes: what else is worth knowing, in sentences.
    """

    source: str
    kind: str
    prefix: str
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()

    def of(self, fate: Fate) -> list[Entry]:
        """Return the weights of one fate."""
        return [entry for entry in self.entries if entry.fate == fate]

    @property
    def share(self) -> float:
        """Which part of the network's values comes from the file, adapted ones included."""
        own = [entry for entry in self.entries if entry.fate != "unused"]
        taken = [entry for entry in own if entry.fate != "new"]
        return _values(taken) / max(1, _values(own))

    def rows(self, *, most: int = 8) -> list[tuple[str, str, str]]:
        """Return rows for a table (fate, what, how): adapted weights, and some of the others."""
        rows: list[tuple[str, str, str]] = []
        for fate in FATES:
            found = self.of(fate)
            if not found:
                continue
            amount = f"{len(found)} tensors, {_values(found):,} values"
            rows.append((fate, amount, "" if fate in ("matched", "adapted") else _some(found)))
            if fate == "adapted":
                rows += [("", entry.name, _how(entry)) for entry in found[:most]]
                if len(found) > most:
                    rows.append(("", f"and {len(found) - most} more", ""))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Return plain containers for ``transfer.json``."""
        return {
            "source": self.source,
            "kind": self.kind,
            "prefix": self.prefix,
            "share": round(self.share, 4),
            "notes": list(self.notes),
            **{fate: [_plain(entry) for entry in self.of(fate)] for fate in FATES},
        }


def _plain(entry: Entry) -> dict[str, Any]:
    values = asdict(entry)
    values.pop("fate")
    return {key: value for key, value in values.items() if value not in (None, "", ())}


def _how(entry: Entry) -> str:
    there = "" if entry.source_shape is None else f"{_shape(entry.source_shape)} -> "
    return f"{there}{_shape(entry.shape)}: {entry.how}"


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "scalar"


def _some(entries: Sequence[Entry], most: int = 3) -> str:
    names = ", ".join(entry.name for entry in entries[:most])
    return names + (", …" if len(entries) > most else "")


def _values(entries: Sequence[Entry]) -> int:
    return sum(prod(entry.shape) for entry in entries)
