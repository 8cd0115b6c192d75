"""Layers of a recipe on top of each other: parents, the file, the command line."""

from __future__ import annotations

from typing import Any

from medseg.recipe.nodes import Node, dotted
from medseg.recipe.problems import Problem
from medseg.recipe.tasks import giving_way

COMPONENTS = ("network", "loss", "optimizer", "schedule", "logger")
EXCLUSIVE = ("budget", "steps", "epochs")

# A set of labels is one value: a child that declares its own does not want its parent's beside it.
_WHOLE = {("data", name) for name in ("labels", "regions", "value_map", "channels")}

Path = tuple[str | int, ...]


def merge(base: Node, over: Node, problems: list[Problem], path: Path = ()) -> Node:
    """Lay `over` on `base`: mappings merge, lists and scalars are replaced.

    - A component with another name replaces the whole component.
    - One of `EXCLUSIVE` clears the other two.
    - A network and a loss of the other task give way to a layer that states its task.
    - On the command line a number addresses an item of a list (``augmentation.0.p``).
    """
    if _is_slot(path):
        base, over = _with_name(base), _with_name(over)
        if _name(base) is not None and _name(over) not in (None, _name(base)):
            return over
    if not isinstance(over.value, dict):
        return over
    if over.place.is_command_line:
        indices = over.value and all(key.isdecimal() for key in over.value)
        if isinstance(base.value, list) and indices:
            return _patch(base, over, problems, path)
    elif path in _WHOLE:
        return over
    if not isinstance(base.value, dict):
        return over
    if not path:
        base = giving_way(base, over)
    merged = dict(base.entries)
    if path == ("trainer",) and given(over):
        merged = {key: node for key, node in merged.items() if key not in EXCLUSIVE}
    for key, child in over.value.items():
        below = merged.get(key)
        merged[key] = child if below is None else merge(below, child, problems, (*path, key))
    # The place of the upper layer: a problem with the whole section is mended there. The recipe as
    # a whole stays that of its file, whatever else is said on the command line.
    whole = not path and over.place.is_command_line
    return Node(merged, base.place if whole else over.place)


def given(trainer: Node | None) -> list[str]:
    """Return which of the exclusive keys a ``trainer`` section sets."""
    entries = trainer.value if trainer is not None and isinstance(trainer.value, dict) else {}
    return [key for key in EXCLUSIVE if key in entries and entries[key].value is not None]


def check_exclusive(layer: Node, problems: list[Problem]) -> None:
    """Report a layer that sets more than one of the exclusive keys."""
    trainer = layer.get("trainer")
    for key in given(trainer)[1:]:
        others = " and ".join(f"trainer.{name}" for name in given(trainer) if name != key)
        message = f"excludes {others}; keep one of {', '.join(EXCLUSIVE)}"
        node = layer.get("trainer", key)
        problems.append(Problem(node.place, f"trainer.{key}", message))  # type: ignore[union-attr]


def _is_slot(path: Path) -> bool:
    if len(path) == 1:
        return path[0] in COMPONENTS
    return len(path) == 2 and path[0] in ("augmentation", "logger") and isinstance(path[1], int)


def _with_name(node: Node) -> Node:
    """Write the short form ``network: unet`` as the mapping it stands for."""
    named = isinstance(node.value, str) and node.value != "none"
    return node.replace({"name": node}) if named else node


def _name(node: Node) -> Any:
    entry = node.child("name") if isinstance(node.value, dict) else None
    return entry.value if entry is not None else None


def _patch(base: Node, over: Node, problems: list[Problem], path: Path) -> Node:
    items: list[Node] = list(base.items)
    for key, child in over.entries.items():
        index = int(key)
        if index >= len(items):
            message = f"the list has {len(items)} items, numbered from 0"
            problems.append(Problem(child.place, dotted((*path, key)), message))
            continue
        items[index] = merge(items[index], child, problems, (*path, index))
    return Node(items, base.place)
