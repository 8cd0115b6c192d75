"""Check the components of a recipe against what ships, without importing any of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from medseg.recipe import arguments, catalogue, homes, words
from medseg.recipe.nodes import Node, dotted
from medseg.recipe.problems import Problem, similar
from medseg.recipe.signatures import Argument

Path = tuple[str | int, ...]

WORDS = {
    "network": "network",
    "loss": "loss",
    "optimizer": "optimizer",
    "schedule": "schedule",
    "augmentation": "transform",
    "logger": "logger",
}
_SINGLE = ("network", "loss", "optimizer", "schedule")
_OWN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def filled(tree: Node) -> Iterator[tuple[str, Path, Node]]:
    """Yield every component of a recipe: its slot, its path and its node."""
    for slot in _SINGLE:
        node = tree.get(slot)
        if node is not None:
            yield slot, (slot,), node
    for slot in ("augmentation", "logger"):
        node = tree.get(slot)
        if node is None:
            continue
        if isinstance(node.value, list):
            for index, item in enumerate(node.value):
                if not (slot == "logger" and item.value in (None, "none")):
                    yield slot, (slot, index), item
        elif slot == "logger" and node.value not in (None, "none"):
            yield slot, (slot,), node


def check(tree: Node, *, trust: Collection[str] | None) -> list[Problem]:
    """Return what is wrong with names and arguments.

    Args:
        tree: the recipe.
        trust: top-level packages whose code may be imported; ``None`` leaves that question to
            whoever imports.
    """
    problems: list[Problem] = []
    for slot, path, node in filled(tree):
        name = node.get("name") if isinstance(node.value, dict) else node
        if name is None or not isinstance(name.value, str):
            continue  # The skeleton's check says so.
        if ":" in name.value:
            problems += _check_own(slot, path, name, trust)
        elif (record := catalogue.find(slot, name.value)) is None:
            problems.append(_unknown(slot, path, node, name))
        else:
            entries = node.value if isinstance(node.value, dict) else {}
            given = {key: item for key, item in entries.items() if key != "name"}
            problems += check_arguments(
                slot, name.value, path, node, given, record.arguments, is_open=record.is_open
            )
    return problems


def check_arguments(
    slot: str,
    name: str,
    path: Path,
    node: Node,
    given: dict[str, Node],
    known: dict[str, Argument],
    *,
    is_open: bool,
) -> list[Problem]:
    """Return what is wrong with the arguments `given` to a callable that takes `known` ones."""
    problems = []
    wired = catalogue.wired(slot, name, known)
    free = [key for key in known if key not in wired]
    for key, item in given.items():
        here = dotted((*path, key))
        planned = slot == "network" and key not in known and key in homes.PLAN_KEYS
        if key in wired or (planned and not is_open):
            problems.append(Problem(item.place, here, _wired_message(slot, key)))
        elif key not in known:
            if not is_open:
                message = f"{name} has no such argument"
                problems.append(Problem(item.place, here, message, similar(key, free)))
        elif not arguments.fits(item.plain(), known[key]):
            expected = arguments.expected(known[key])
            message = f"expected {expected}, found {words.found(item)}"
            problems.append(Problem(item.place, here, message))
    for key in free:
        if known[key].default is None and key not in {*given, *catalogue.filled(slot)}:
            message = f"{name} needs {key}: {arguments.expected(known[key])}"
            problems.append(Problem(node.place, dotted(path), message))
    return problems


def _wired_message(slot: str, key: str) -> str:
    if slot != "network":
        return "is set by medseg; leave it out"
    if key in homes.PLAN_KEYS:
        return f"comes from the data; to change it set plan.{homes.PLAN_KEYS[key]}"
    return "comes from the data (data.channels and data.labels); leave it out"


def _unknown(slot: str, path: Path, node: Node, name: Node) -> Problem:
    key = dotted((*path, "name")) if isinstance(node.value, dict) else dotted(path)
    text = str(name.value)
    hint = similar(text, catalogue.names(slot))
    shown = text if name.written is None else name.written
    if hint:
        message = f"there is no {WORDS[slot]} {shown!r}"
    else:
        ours = ", ".join(homes.OURS[slot])
        libraries = "".join(f", {prefix}.<Name>" for prefix in homes.LIBRARIES[slot])
        message = (
            f"there is no {WORDS[slot]} {shown!r}; there are {ours}{libraries} and your own "
            "package.module:Class"
        )
    return Problem(name.place, key, message, hint)


def _check_own(slot: str, path: Path, name: Node, trust: Collection[str] | None) -> list[Problem]:
    text = str(name.value)
    key = dotted(path)
    if not _OWN.fullmatch(text):
        message = f"your own {WORDS[slot]} is written package.module:Class, found {text!r}"
        return [Problem(name.place, key, message)]
    package = text.partition(":")[0].partition(".")[0]
    if trust is not None and package not in trust:
        message = (
            f"{text} is code of the package {package}, which is not trusted; "
            f"if you trust it, add --trust {package} to the command"
        )
        return [Problem(name.place, key, message)]
    return []
