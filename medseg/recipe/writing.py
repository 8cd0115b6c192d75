"""A recipe as plain containers and YAML again, and what two recipes differ in."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

from ruamel.yaml import YAML

from medseg.errors import InputError
from medseg.recipe.nodes import Node
from medseg.recipe.problems import Problem
from medseg.recipe.reading import read_text
from medseg.recipe.recipe import Recipe
from medseg.recipe.tasks import DETECTION

# Where a run lies, what it is called and who is told does not make it another one.
IGNORED = ("run_dir", "logger", "name")

HEADER = "# Resolved recipe: every value that is used, defaults included.\n"


def resolved(recipe: Recipe) -> dict[str, Any]:
    """Return every value that is used, as written where it was written."""
    out = _overlay(recipe.model_dump(mode="json"), recipe._tree, ())
    for key in ("augmentation", "logger"):
        out[key] = out[key] or "none"
    if recipe.task != DETECTION:
        del out["detection"]  # no value of it is used, and a recipe that states one is refused
    return out


def to_yaml(recipe: Recipe) -> str:
    """Return the resolved recipe as YAML text."""
    yaml = YAML()
    yaml.width = 100
    yaml.representer.add_representer(
        type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    stream = io.StringIO()
    yaml.dump(_styled(resolved(recipe)), stream)
    return HEADER + stream.getvalue()


def differences(recipe: Recipe, other: Recipe | str) -> list[str]:
    """Return the dotted keys whose values differ, as written and as used."""
    from medseg.recipe.loading import load_text

    written = _flat(resolved(recipe))
    used = _flat(recipe.model_dump(mode="json"))
    other_written: dict[str, Any]
    other_used: dict[str, Any] = {}
    if isinstance(other, str):
        try:
            other = load_text(other)
        except InputError:
            # It was valid once: a variable is gone, or a key. What it says can still be compared.
            problems: list[Problem] = []
            tree = read_text(str(other), "recipe.yaml", problems)
            other_written = _flat(tree.plain() if tree is not None else {})
    if isinstance(other, Recipe):
        other_written = _flat(resolved(other))
        other_used = _flat(other.model_dump(mode="json"))
    missing = object()
    out = []
    for key in dict.fromkeys([*written, *other_written]):
        if key.partition(".")[0] in IGNORED:
            continue
        same_text = written.get(key, missing) == other_written.get(key, missing)
        same_value = key in used and key in other_used and used[key] == other_used[key]
        if not same_text and not same_value:
            out.append(key)
    return out


def _overlay(value: Any, node: Node | None, path: tuple[str, ...]) -> Any:
    """Put back what was written where writing and value differ: variables and lengths of time."""
    if node is None:
        return value
    if node.written is not None:
        return node.written
    if isinstance(value, float) and isinstance(node.value, str | int):
        return node.value
    if isinstance(node.value, dict) and isinstance(value, Mapping):
        name = node.get("name")
        if "name" in value and name is not None and name.written is not None and path:
            # Another name another day: the defaults of today's would not belong to it.
            return node.plain(written=True)
        return {
            key: _overlay(item, node.child(str(key)), (*path, str(key)))
            for key, item in value.items()
        }
    if isinstance(node.value, list) and isinstance(value, list):
        if len(node.value) != len(value):
            return node.plain(written=True) if _has_variables(node) else value
        pairs = zip(value, node.value, strict=True)
        return [_overlay(item, child, (*path, str(i))) for i, (item, child) in enumerate(pairs)]
    if isinstance(node.value, dict) and isinstance(value, list) and len(value) == 1:
        return [_overlay(value[0], node, (*path, "0"))]
    return value


def _has_variables(node: Node) -> bool:
    return any(child.written is not None for _, child in node.walk())


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    return dict(_leaves(value, prefix))


def _leaves(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{prefix}.{index}")
    else:
        yield prefix, value


def _styled(value: Any) -> Any:
    """Write lists of plain values in one line."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if isinstance(value, Mapping):
        # Values of labels (`value_map`) are numbers, and read as such without quotes.
        out = CommentedMap({_key(key): _styled(item) for key, item in value.items()})
        if not out:
            out.fa.set_flow_style()
        return out
    if isinstance(value, list):
        items = CommentedSeq(_styled(item) for item in value)
        if not any(isinstance(item, Mapping) for item in value):
            items.fa.set_flow_style()
        return items
    return value


def _key(key: Any) -> Any:
    text = str(key)
    return int(text) if text.isdecimal() and str(int(text)) == text else text
