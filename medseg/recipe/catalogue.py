"""The generated table of what ships: names and arguments, readable without importing anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from medseg.recipe import homes
from medseg.recipe.signatures import Argument

FILE = Path(__file__).with_name("components.json")


@dataclass(frozen=True)
class Record:
    """A component that ships.

    Attributes:
        path: ``module:attribute``.
        arguments: by name, base classes' included.
        is_open: it takes other arguments, too.
    """

    path: str
    arguments: dict[str, Argument]
    is_open: bool = False

    @property
    def home(self) -> str:
        """``medseg``, ``monai``, ``torchio`` or ``torch``."""
        return self.path.partition(".")[0].partition(":")[0]


@cache
def _table() -> dict[str, dict[str, Any]]:
    try:
        return json.loads(FILE.read_text(encoding="utf-8"))["components"]
    except FileNotFoundError:
        return {}


def names(slot: str) -> list[str]:
    """Return the names that ship for a slot."""
    return list(_table().get(slot, {}))


@cache
def find(slot: str, name: str) -> Record | None:
    """Return what ships under `name`, or ``None``."""
    entry = _table().get(slot, {}).get(name)
    if entry is None:
        # One of ours that the table does not hold yet: known by name, its arguments are not.
        path = homes.OURS[slot].get(name)
        return Record(path, {}, is_open=True) if path else None
    arguments = {
        key: Argument(item.get("type", ""), item.get("default"))
        for key, item in entry["arguments"].items()
    }
    return Record(entry["path"], arguments, entry.get("open", False))


def wired(slot: str, name: str, arguments: Mapping[str, Argument]) -> frozenset[str]:
    """Return the arguments of a component that the data or the run decide."""
    asked = {key for key, item in arguments.items() if item.default is None}
    asked &= homes.WIRED_IF_REQUIRED.get(slot, frozenset())
    return homes.WIRED[slot] | homes.WIRED_BY_NAME.get(name, frozenset()) | asked


def filled(slot: str) -> frozenset[str]:
    """Return the arguments that need not be given, whatever the signature says."""
    return homes.FILLED.get(slot, frozenset())
