"""The space of a sweep: which keys of a recipe are to be tried, with which values."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.errors import InputError, InputErrors
from medseg.recipe.loading import load
from medseg.recipe.nodes import Node
from medseg.recipe.problems import Place, Problem, raise_all, similar
from medseg.recipe.reading import display, read_file

# What keeps trials apart, or decides which cases score them: those must be the same for all.
_FIXED = (
    "name",
    "run_dir",
    "extends",
    "logger",
    "evaluation",
    "trainer.validation_cases",
    "cascade.first",
)
_SAME_CASES = (
    "data.root",
    "data.format",
    "data.datalist",
    "data.phantom",
    "data.images_folder",
    "data.labels_folder",
    "data.image_pattern",
    "data.label_pattern",
    "data.group_pattern",
    "data.empty_labels",
    "data.fold",
    "data.folds",
    "data.splits",
    "data.held_out",
)
_SAME_CLASSES = ("data.labels", "data.regions", "data.region_order", "data.value_map")
_RANGE = ("low", "high", "log", "step")


@dataclass(frozen=True)
class Choice:
    """A key that takes one of some values.

    Attributes:
        key: dotted.
        values: as a recipe has them.
    """

    key: str
    values: tuple[Any, ...]

    def corners(self) -> tuple[Any, ...]:
        """Return the values that must fit the recipe for all to fit."""
        return self.values


@dataclass(frozen=True)
class Range:
    """A key that takes a number between two.

    Attributes:
        key: dotted.
        low: the smallest.
        high: the largest.
        log: try as often between 1 and 10 as between 10 and 100.
        step: distance between the numbers that are tried; ``None``: any (of whole numbers: each).
    """

    key: str
    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether the numbers are whole."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def corners(self) -> tuple[Any, ...]:
        """Return the values that must fit the recipe for all to fit."""
        return self.low, self.high


Dimension = Choice | Range


def read_space(
    path: Path,
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    trust: Collection[str] = (),
) -> tuple[Dimension, ...]:
    """Read a space and hold every value of it against the recipe; nothing is imported.

    Args:
        path: a YAML file: ``optimizer.lr: {low: 1e-4, high: 1e-2, log: true}``,
            ``loss: [dice_ce, dice_focal]``. Keys may be nested as in a recipe.
        recipe: file or name of the recipe, as for `medseg.recipe.load`.
        overrides: of the recipe.
        trust: as for `medseg.recipe.load`.

    Raises:
        InputError: the space's file is not there.
        InputErrors: all that is wrong with it, with file and line; or with the recipe itself.
    """
    load(recipe, overrides, trust=trust)
    problems: list[Problem] = []
    if not path.is_file():
        raise InputError(
            "there is no such file",
            file=path,
            expected="YAML that says which keys of the recipe to try, with which values",
        )
    tree = read_file(path, problems)
    raise_all(problems)
    assert tree is not None
    found = list(_dimensions(tree, "", problems))
    if not tree.entries:
        problems.append(Problem(Place(display(path)), "", "names no key to try values of"))
    for dimension, place in found:
        problems += _misfits(dimension, place, recipe, overrides, trust)
    raise_all(problems)
    return tuple(dimension for dimension, _ in found)


def override(key: str, value: Any) -> str:
    """Write a value as on the command line; `medseg.recipe.load` reads the same value."""
    return f"{key}={json.dumps(value)}"


def _dimensions(
    node: Node, prefix: str, problems: list[Problem]
) -> Iterator[tuple[Dimension, Place]]:
    for name, child in node.entries.items():
        key = f"{prefix}.{name}" if prefix else name
        nested = isinstance(child.value, dict) and not set(_RANGE) & set(child.value)
        if nested and child.entries:
            yield from _dimensions(child, key, problems)
            continue
        problem = _refused(key) or _of_values(child)
        if problem:
            problems.append(Problem(child.place, key, problem, _typing(child)))
            continue
        yield _dimension(key, child.plain()), child.place


def _refused(key: str) -> str:
    for fixed in (*_FIXED, *_SAME_CASES, *_SAME_CLASSES):
        if key == fixed or key.startswith(f"{fixed}."):
            if fixed in _SAME_CASES:
                return "decides which cases score a trial, and trials are compared on the same ones"
            if fixed in _SAME_CLASSES:
                return "decides what a trial is scored for, and trials are compared by the same"
            return "is the same for all trials"
    return ""


def _of_values(node: Node) -> str:
    """Say what is wrong with the values of a key; nothing, if nothing is."""
    value = node.plain()
    if isinstance(value, list):
        different = {json.dumps(item, sort_keys=True) for item in value}
        return (
            "" if len(different) > 1 else f"needs two values to choose from, found {len(different)}"
        )
    if not isinstance(value, dict):
        return "expected a list of values, or {low: …, high: …}"
    unknown = [name for name in value if name not in _RANGE]
    if unknown:
        return f"a range has {', '.join(_RANGE)}, found {unknown[0]}"
    low: Any = value.get("low")
    high: Any = value.get("high")
    step = value.get("step")
    if not (_number(low) and _number(high)):
        return "a range needs the numbers low and high"
    if not low < high:
        return f"the range is empty: low {low} is not below high {high}"
    if not isinstance(value.get("log", False), bool):
        return "log is true or false"
    if value.get("log") and low <= 0:
        return f"a logarithmic range begins above 0, found low {low}"
    if step is None:
        return ""
    if value.get("log"):
        return "a logarithmic range has no step"
    return (
        "" if _number(step) and 0 < step <= high - low else "step is above 0 and within the range"
    )


def _typing(node: Node) -> tuple[str, ...]:
    unknown = [name for name in node.entries if name not in _RANGE]
    return similar(unknown[0], _RANGE) if unknown else ()


def _dimension(key: str, value: Any) -> Dimension:
    if isinstance(value, list):
        return Choice(key, tuple(value))
    low, high, step = value["low"], value["high"], value.get("step")
    if not (isinstance(low, int) and isinstance(high, int) and isinstance(step, int | None)):
        low, high = float(low), float(high)
    return Range(key, low, high, bool(value.get("log")), step)


def _misfits(
    dimension: Dimension,
    place: Place,
    recipe: str | Path,
    overrides: Sequence[str],
    trust: Collection[str],
) -> Iterator[Problem]:
    """Say which values the recipe does not take, in the words of its own check."""
    for value in dimension.corners():
        try:
            load(recipe, [*overrides, override(dimension.key, value)], trust=trust)
        except InputErrors as error:
            for problem in error.problems:
                message = problem.message.removeprefix(f"{dimension.key}: ")
                yield Problem(place, dimension.key, message)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
