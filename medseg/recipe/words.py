"""Values and types in plain words."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Union

import annotated_types

from medseg.recipe.durations import Interval, Seconds
from medseg.recipe.nodes import Node

_SIMPLE = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    type(None): "null",
}


def found(node: Node | None) -> str:
    """Say what stands at a node; what a variable expanded to is never shown, it may be secret."""
    if node is None:
        return "nothing"
    if node.written is not None:
        return f"{kind(node.value)} (from {node.written})"
    if isinstance(node.value, dict | list):
        return kind(node.value)
    if isinstance(node.value, str):
        text = node.value if len(node.value) <= 60 else node.value[:57] + "…"
        return f"the text {text!r}"
    if node.value is None:
        return "nothing"
    return str(node.value).lower() if isinstance(node.value, bool) else str(node.value)


def kind(value: Any) -> str:
    """Say what kind of value it is."""
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return _SIMPLE.get(type(value), "something else")


def either(parts: Iterable[str]) -> str:
    """Join alternatives: ``a, b or c``."""
    unique = list(dict.fromkeys(part for part in parts if part))
    return " or ".join(filter(None, [", ".join(unique[:-1]), *unique[-1:]]))


def expectation(annotation: Any, constraints: Iterable[Any] = ()) -> str:
    """Say what a field of the skeleton takes."""
    if annotation == Seconds:
        return "a length of time such as 15m"
    if annotation == Interval:
        return "a number of steps or a length of time such as 5m"
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    limits = _limits(constraints)
    if origin is Annotated:
        return expectation(inner[0], inner[1:]) + limits
    if origin in (Union, types.UnionType):
        parts = [expectation(item) for item in inner]
        return either([part for part in parts if part != "null"] + ["null"] * ("null" in parts))
    if origin is Literal:
        return either(str(item).lower() if isinstance(item, bool) else str(item) for item in inner)
    if origin is tuple:
        return f"a list of {_plural(expectation(inner[0]))}{limits}"
    if origin is dict:
        return f"a mapping of {_plural(expectation(inner[0]))} to {_plural(expectation(inner[1]))}"
    return _SIMPLE.get(annotation, "a mapping") + limits


def _plural(words: str) -> str:
    for one, many in (("a whole number", "whole numbers"), ("a number", "numbers")):
        words = words.replace(one, many)
    return words.replace("a list of", "lists of").replace("a mapping", "mappings")


def _limits(constraints: Iterable[Any]) -> str:
    out = []
    parts = [p for item in constraints for p in getattr(item, "metadata", None) or [item]]
    for part in parts:
        if isinstance(part, annotated_types.Ge):
            out.append(f" of at least {part.ge}")
        elif isinstance(part, annotated_types.Gt):
            out.append(f" above {part.gt}")
        elif isinstance(part, annotated_types.Le):
            out.append(f" of at most {part.le}")
        elif isinstance(part, annotated_types.Lt):
            out.append(f" below {part.lt}")
    return " and".join(out)
