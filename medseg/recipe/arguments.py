"""Whether a value fits an argument's annotation, judged by the annotation's text alone."""

from __future__ import annotations

import ast
from typing import Any

from medseg.recipe.signatures import Argument
from medseg.recipe.words import either

_LISTS = {"list", "List", "tuple", "Tuple", "Sequence", "Iterable", "Collection", "set"}
_MAPPINGS = {"dict", "Dict", "Mapping"}
_NAMES = {"TypeKeys", "KeysCollection", "SequenceStr"}
_ARRAYS = {"Tensor", "ndarray", "NdarrayOrTensor", "ArrayLike"}
_UNIONS = {"Optional", "Union"}


def fits(value: Any, argument: Argument) -> bool:
    """Tell whether a YAML value can be meant for an argument; in doubt it can."""
    default = argument.literal
    if default is not None and _like(value, default.value):
        return True
    if not argument.type:
        return default is None or default.value is None or isinstance(default.value, list)
    tree = _parse(argument.type)
    return tree is None or _fits(value, tree)


def expected(argument: Argument) -> str:
    """Say what an argument takes."""
    tree = _parse(argument.type) if argument.type else None
    if tree is not None:
        return _words(tree) or argument.type
    return f"something like {argument.default}"


def _parse(text: str) -> ast.expr | None:
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return None


def _like(value: Any, default: Any) -> bool:
    if default is None or isinstance(default, bool) or isinstance(value, bool):
        return type(value) is type(default)
    if isinstance(default, int | float):
        # A default of 1 is often a number that need not be whole; a default of 0.5 always is.
        return isinstance(value, int) or (isinstance(default, float) and isinstance(value, float))
    if isinstance(default, list) and isinstance(value, list):
        return not default or all(_like(item, default[0]) for item in value)
    return type(value) is type(default)


def _name(tree: ast.expr) -> str:
    if isinstance(tree, ast.Subscript):
        return _name(tree.value)
    if isinstance(tree, ast.Attribute):
        return tree.attr
    return tree.id if isinstance(tree, ast.Name) else ""


def _inner(tree: ast.expr) -> list[ast.expr]:
    if not isinstance(tree, ast.Subscript):
        return []
    return tree.slice.elts if isinstance(tree.slice, ast.Tuple) else [tree.slice]


def _alternatives(tree: ast.expr) -> list[ast.expr]:
    """Take unions apart; text in quotes is an annotation of its own."""
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.BitOr):
        return [*_alternatives(tree.left), *_alternatives(tree.right)]
    if isinstance(tree, ast.Constant) and isinstance(tree.value, str):
        inner = _parse(tree.value)
        return _alternatives(inner) if inner is not None else []
    if _name(tree) in _UNIONS:
        none = [ast.Constant(None)] if _name(tree) == "Optional" else []
        return [part for item in _inner(tree) for part in _alternatives(item)] + none
    return [tree]


def _fits(value: Any, tree: ast.expr) -> bool:
    return any(_fits_one(value, part) for part in _alternatives(tree))


def _fits_one(value: Any, tree: ast.expr) -> bool:
    name, inner = _name(tree), _inner(tree)
    if isinstance(tree, ast.Constant):
        return value is None if tree.value is None else True
    if name == "bool":
        return isinstance(value, bool)
    if name == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "float":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if name == "str":
        return isinstance(value, str)
    if name == "Literal":
        return any(isinstance(c, ast.Constant) and c.value == value for c in inner)
    if name in _NAMES:
        return value is None or isinstance(value, str | list)
    if name in _ARRAYS:
        return isinstance(value, list | int | float) and not isinstance(value, bool)
    if name in _LISTS:
        kinds = [item for item in inner if not _is_ellipsis(item)]
        return isinstance(value, list) and (
            not kinds or all(any(_fits(item, kind) for kind in kinds) for item in value)
        )
    if name in _MAPPINGS:
        return isinstance(value, dict) and (
            len(inner) != 2 or all(_fits(item, inner[1]) for item in value.values())
        )
    return True


def _is_ellipsis(tree: ast.expr) -> bool:
    return isinstance(tree, ast.Constant) and tree.value is Ellipsis


def _words(tree: ast.expr) -> str:
    return either(_words_one(part) for part in _alternatives(tree))


def _words_one(tree: ast.expr) -> str:
    name, inner = _name(tree), _inner(tree)
    simple = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text"}
    if name in simple:
        return simple[name]
    if isinstance(tree, ast.Constant) and tree.value is None:
        return "null"
    if name == "Literal":
        return either(str(c.value) for c in inner if isinstance(c, ast.Constant))
    if name in _LISTS:
        kinds = either(_words(item) for item in inner if not _is_ellipsis(item))
        many = {
            "a whole number": "whole numbers",
            "a number": "numbers",
            "true or false": "booleans",
        }
        return f"a list of {many.get(kinds, kinds)}" if kinds else "a list"
    if name in _MAPPINGS:
        return "a mapping"
    return "a list or a name" if name in _NAMES else ""
