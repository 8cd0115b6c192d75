"""YAML text to a tree of nodes; duplicate keys, tags and syntax are reported with their lines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLStreamError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from medseg.recipe.nodes import Node, Scalar
from medseg.recipe.problems import Place, Problem
from medseg.recipe.scalars import parse_scalar

# Aliases can unfold a kilobyte into billions of nodes; no recipe comes near this.
MAX_NODES = 20_000
MAX_BYTES = 5_000_000

_CORE = "tag:yaml.org,2002:"
_ALLOWED_TAGS = {
    _CORE + name for name in ("null", "bool", "int", "float", "str", "seq", "map", "timestamp")
}
# Plain `<<` and `=` carry tags of YAML 1.1; in 1.2 they are text.
_ALLOWED_TAGS |= {_CORE + "merge", _CORE + "value"}


class _Unreadable(Exception):
    """The text cannot become a tree at all."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        self.message = message
        super().__init__(message)


def read_file(path: Path, problems: list[Problem]) -> Node | None:
    """Read one recipe file, without its parents; ``None`` and a problem if that cannot be done."""
    name = display(path)
    try:
        if path.is_dir():
            raise _Unreadable(0, "a recipe is a YAML file, this is a folder")
        if path.stat().st_size > MAX_BYTES:
            raise _Unreadable(0, "this file is far too large for a recipe")
        text = path.read_bytes().decode("utf-8-sig")
    except _Unreadable as error:
        problems.append(Problem(Place(name), "", error.message))
    except UnicodeDecodeError:
        problems.append(Problem(Place(name), "", "a recipe is YAML text in UTF-8, this is not"))
    except FileNotFoundError:
        problems.append(Problem(Place(name), "", "there is no such recipe"))
    except OSError as error:
        problems.append(Problem(Place(name), "", f"cannot be read: {error.strerror}"))
    else:
        return read_text(text, name, problems)
    return None


def read_text(text: str, name: str, problems: list[Problem]) -> Node | None:
    """Read YAML `text`; `name` stands for the file in messages. ``None`` if it is no mapping."""
    try:
        node = _compose(text)
        if node is None:
            return Node({}, Place(name, 1))
        line = node.start_mark.line + 1
        if not isinstance(node, MappingNode):
            raise _Unreadable(line, "a recipe is a mapping of keys to values: `network: unet`")
        return _Reader(name, problems).convert(node, line)
    except _Unreadable as error:
        problems.append(Problem(Place(name, error.line), "", error.message))
        return None


def read_flow(text: str, place: Place, key: str, problems: list[Problem]) -> Node:
    """Read the value of an override: a flow collection, a quoted scalar or a plain scalar.

    A plain scalar is taken literally: paths may hold ``#`` and ``: ``.
    """
    text = text.strip()
    if not text.startswith(("[", "{", '"', "'")):
        return Node(parse_scalar(text), place)
    found: list[Problem] = []
    try:
        read = _Reader(place.file, found).convert(_compose(text), 0)
    except _Unreadable as error:
        problems.append(Problem(place, key, f"the value is not YAML: {error.message}"))
        return Node(None, place)
    problems += [Problem(place, f"{key}.{p.key}" if p.key else key, p.message) for p in found]
    return _placed(read, place)


def display(path: Path) -> str:
    """Return the path as the user knows it: relative where it lies below the current folder."""
    path = Path(os.path.normpath(path))
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _compose(text: str) -> Any:
    try:
        return YAML(typ="rt").compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(str(part) for part in (error.context, error.problem) if part)
        line = mark.line + 1 if mark else 1
        if "${" in "".join(text.splitlines()[line - 1 : line]):
            what += "; inside { } and [ ] a ${VAR} needs quotes"
        raise _Unreadable(line, f"not valid YAML: {what}") from error
    except (YAMLError, YAMLStreamError, ValueError, RecursionError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise _Unreadable(1, f"not valid YAML: {reason}") from error


def _placed(node: Node, place: Place) -> Node:
    if isinstance(node.value, dict):
        return Node({key: _placed(child, place) for key, child in node.value.items()}, place)
    if isinstance(node.value, list):
        return Node([_placed(child, place) for child in node.value], place)
    return Node(node.value, place)


class _Reader:
    """Turn ruamel's nodes into ours, collecting what is wrong on the way."""

    def __init__(self, name: str, problems: list[Problem]) -> None:
        self.name = name
        self.problems = problems
        self.count = 0
        self.open: set[int] = set()

    def convert(self, node: Any, line: int, key: str = "") -> Node:
        place = Place(self.name, line)
        self.count += 1
        if self.count > MAX_NODES or id(node) in self.open:
            raise _Unreadable(line, "aliases unfold into an endless tree")
        if str(node.tag) not in _ALLOWED_TAGS:
            self.problems.append(Problem(place, key, f"tags are not allowed, found {node.tag}"))
            return Node(None, place)
        if isinstance(node, ScalarNode):
            return Node(self._scalar(node), place)
        self.open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                items = enumerate(node.value)
                value = [
                    self.convert(item, self._line(item), f"{key}.{index}" if key else str(index))
                    for index, item in items
                ]
                return Node(value, place)
            return Node(self._mapping(node, key), place)
        finally:
            self.open.discard(id(node))

    def _mapping(self, node: MappingNode, prefix: str) -> dict[str, Node]:
        out: dict[str, Node] = {}
        for key_node, value_node in node.value:
            line = self._line(key_node)
            if not isinstance(key_node, ScalarNode):
                problem = Problem(Place(self.name, line), prefix, "keys must be plain words")
                self.problems.append(problem)
                continue
            name = str(key_node.value)
            key = f"{prefix}.{name}" if prefix else name
            if name in out:
                first = out[name].place.line
                message = f"is given twice, first in line {first}" if first else "is given twice"
                self.problems.append(Problem(Place(self.name, line), key, message))
                continue
            out[name] = self.convert(value_node, line, key)
        return out

    @staticmethod
    def _scalar(node: ScalarNode) -> Scalar:
        plain = node.style in (None, "")
        explicit_text = str(node.tag) == _CORE + "str"
        return str(node.value) if not plain or explicit_text else parse_scalar(str(node.value))

    @staticmethod
    def _line(node: Any) -> int:
        return node.start_mark.line + 1
