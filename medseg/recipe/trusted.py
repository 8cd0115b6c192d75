"""The user's own classes: imported, held against their slot and their own signatures."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence

from medseg.errors import InputError
from medseg.recipe import homes
from medseg.recipe.nodes import dotted
from medseg.recipe.problems import Problem, raise_all
from medseg.recipe.recipe import Recipe
from medseg.recipe.signatures import describe
from medseg.recipe.slots import WORDS, check, check_arguments, filled


def check_trusted(recipe: Recipe, *, trust: Sequence[str] = ()) -> None:
    """Import the recipe's own classes and check them; call this before anything is built.

    Args:
        recipe: a checked recipe.
        trust: top-level packages that the user named on the command line.

    Raises:
        InputError: a package is not trusted (nothing is imported then), a class is not there or
            does not fit its slot, or its arguments are wrong.
    """
    tree = recipe._tree
    if tree is None:
        return
    raise_all(check(tree, trust=trust))
    problems: list[Problem] = []
    for slot, path, node in filled(tree):
        name = node.get("name") if isinstance(node.value, dict) else node
        if name is None or ":" not in str(name.value):
            continue
        component = getattr(recipe, slot)
        component = component[path[1] if len(path) > 1 else 0] if slot in _LISTS else component
        try:
            found = component.resolve(trust=trust)
        except InputError as error:
            problems.append(Problem(name.place, dotted(path), f"{error.message}; {error.remedy}"))
            continue
        wrong = _kind_problem(slot, found)
        if wrong:
            problems.append(Problem(name.place, dotted(path), f"{name.value} is {wrong}"))
            continue
        entries = node.value if isinstance(node.value, dict) else {}
        given = {key: item for key, item in entries.items() if key != "name"}
        signature = describe(found)
        problems += check_arguments(
            slot,
            component.name,
            path,
            node,
            given,
            signature.arguments,
            is_open=signature.is_open,
        )
    raise_all(problems)


_LISTS = ("augmentation", "logger")


def _kind_problem(slot: str, found: object) -> str:
    """Say why something cannot stand in a slot, or nothing."""
    bases = []
    for path in homes.KINDS[slot]:
        module, _, attribute = path.partition(":")
        bases.append(getattr(importlib.import_module(module), attribute))
    if not bases:
        return "" if callable(found) else "nothing that can be called"
    if inspect.isclass(found) and issubclass(found, tuple(bases)):
        return ""
    wanted = " or ".join(path.replace(":", ".") for path in homes.KINDS[slot])
    return f"no {WORDS[slot]}: expected a subclass of {wanted}, found {_what(found)}"


def _what(found: object) -> str:
    return f"the class {found.__name__}" if inspect.isclass(found) else type(found).__name__
