"""Hold a tree against the skeleton and say every mistake in plain words, with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from medseg.recipe import words
from medseg.recipe.nodes import Node, dotted
from medseg.recipe.problems import Place, Problem, similar
from medseg.recipe.recipe import Recipe
from medseg.recipe.section import Section

Path = tuple[str | int, ...]

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_EMPTY = {"string_too_short", "too_short"}
_YAML_1_1 = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


def translate(error: ValidationError, tree: Node) -> list[Problem]:
    """Turn pydantic's errors into problems with places in the recipe."""
    fields: dict[Path, list[tuple[Path, dict]]] = {}
    for detail in error.errors(include_url=False):
        item: dict[str, Any] = dict(detail)
        path = _real_path(item["loc"], tree)
        fields.setdefault(path[: _field_depth(path)], []).append((path, item))
    problems = []
    for field, items in fields.items():
        # Of a union's branches, the one that came furthest is the one that was meant.
        depth = max(len(path) for path, _ in items)
        deepest: dict[Path, list[dict]] = {}
        for path, item in items:
            if len(path) == depth:
                deepest.setdefault(path, []).append(item)
        for path, same in deepest.items():
            problems.append(_problem(path, field, same, tree))
    return problems


def _problem(path: Path, field: Path, items: list[dict], tree: Node) -> Problem:
    node, place = tree.get(*path), _place(path, tree)
    kind, context = items[0]["type"], items[0].get("ctx", {})
    key = dotted(path)
    if kind == "extra_forbidden":
        return _unknown_key(path, place, tree)
    if kind == "missing":
        return Problem(place, dotted((*path, str(items[0]["loc"][-1]))), "must be given")
    if kind == "value_error":
        return Problem(place, key, f"{context['error']}, found {words.found(node)}")
    if items[0]["loc"][-1:] == ("[key]",):
        return Problem(place, key, "the key must be a whole number")
    choices = [c for item in items for c in _choices(item)]
    hint: tuple[str, ...] = ()
    if node is not None and isinstance(node.value, str):
        hint = similar(node.value, choices)
        if kind == "bool_type" and node.value.lower() in _YAML_1_1:
            hint = (_YAML_1_1[node.value.lower()],)
    if kind in _EMPTY and len(items) == 1:
        return Problem(place, key, "must not be empty")
    if path == field and (len(items) > 1 or kind not in _EXPECTED):
        expected = _expectation(field)
    else:
        parts = [words.either(_choices(item)) or _EXPECTED.get(item["type"], "") for item in items]
        expected = words.either(parts) or _limit(items[0])
    return Problem(place, key, f"expected {expected}, found {words.found(node)}", hint)


def _unknown_key(path: Path, place: Place, tree: Node) -> Problem:
    """Look for what was meant among the keys beside it, then among those of other sections."""
    word, section, node = str(path[-1]), path[:-1], tree.get(*path)
    model, _ = _model(section)
    hint = similar(word, [*model.model_fields, *(["extends"] if not section else [])])
    if not hint:
        everywhere: dict[str, str] = {}
        for known in _keys(Recipe, ()):
            everywhere.setdefault(str(known[-1]), dotted(known))
        hint = tuple(everywhere[name] for name in similar(word, everywhere))
    where = f"{dotted(section)} has no such key" if section else "there is no such key"
    # An override names the whole path, so that is what its author will look for.
    while place.is_command_line and node is not None and isinstance(node.value, dict):
        if len(node.value) != 1:
            break
        ((key, node),) = node.value.items()
        path = (*path, key)
    return Problem(place, dotted(path), where, hint)


def _keys(model: type[BaseModel], prefix: Path) -> Iterator[Path]:
    for name, field in model.model_fields.items():
        below = _section_of(field.annotation)
        yield (*prefix, name)
        if below is not None:
            yield from _keys(below, (*prefix, name))


def _real_path(loc: tuple, tree: Node) -> Path:
    """Leave out the names of union branches, which pydantic mixes into its paths."""
    node: Node | None = tree
    path: Path = ()
    for part in loc:
        child = node.child(part) if node is not None else None
        if child is not None:
            path, node = (*path, part), child
    return path


def _field_depth(path: Path) -> int:
    """Return how far down `path` fields of the skeleton go."""
    return _model(path)[1]


def _model(path: Path) -> tuple[type[BaseModel], int]:
    model: type[BaseModel] = Recipe
    for depth, part in enumerate(path):
        field = model.model_fields.get(str(part))
        if field is None:
            return model, depth + 1
        below = _section_of(field.annotation)
        if below is None:
            return model, depth + 1
        model = below
    return model, len(path)


def _section_of(annotation: Any) -> type[Section] | None:
    options = [annotation, *getattr(annotation, "__args__", ())]
    found = [item for item in options if isinstance(item, type) and issubclass(item, Section)]
    return found[0] if found else None


def _expectation(field: Path) -> str:
    model, _ = _model(field[:-1])
    info = model.model_fields.get(str(field[-1]))
    if info is None:
        return "something else"
    return words.expectation(info.annotation, info.metadata)


def _choices(item: dict) -> list[str]:
    if item["type"] != "literal_error":
        return []
    text = item["ctx"]["expected"]
    quoted = re.findall(r"'([^']*)'", text)
    return quoted or [part.lower() for part in re.split(r", | or ", text)]


def _limit(item: dict) -> str:
    context = item.get("ctx", {})
    for name, text in (("gt", "above"), ("ge", "of at least"), ("lt", "below"), ("le", "up to")):
        if name in context:
            return f"a number {text} {context[name]:g}"
    return item["msg"]


def _place(path: Path, tree: Node) -> Place:
    node = tree
    for part in path:
        child = node.child(part)
        if child is None:
            break
        node = child
    return node.place
