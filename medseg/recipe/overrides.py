"""``key.sub=value`` on the command line as the uppermost layer of a recipe."""

from __future__ import annotations

import json
from collections.abc import Sequence

from medseg.recipe.merging import EXCLUSIVE, merge
from medseg.recipe.nodes import Node
from medseg.recipe.problems import COMMAND_LINE, Place, Problem
from medseg.recipe.reading import read_flow

_PLACE = Place(COMMAND_LINE)


def read_overrides(overrides: Sequence[str], problems: list[Problem]) -> Node:
    """Return the overrides as one layer; of two for the same key the later one wins."""
    layer = Node({}, _PLACE)
    lengths: dict[str, None] = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        key = key.strip()
        parts = key.split(".")
        if not equals or not all(parts):
            message = "an override is written key=value, such as trainer.budget=4m"
            problems.append(Problem(_PLACE, key or text, message))
            continue
        if parts[0] == "extends":
            problems.append(Problem(_PLACE, key, "parents can only be named in a file"))
            continue
        if parts[-1].endswith("_pattern") and value.startswith("{"):
            value = json.dumps(value)  # {case}_img.png is a pattern, not the mapping YAML would see
        node = read_flow(value, _PLACE, key, problems)
        for part in reversed(parts):
            node = Node({part: node}, _PLACE)
        trainer = node.get("trainer")
        if trainer is not None and isinstance(trainer.value, dict):
            named = [k for k in EXCLUSIVE if k in trainer.value]
            lengths |= {k: None for k in named if trainer.value[k].value is not None}
        layer = merge(layer, node, problems)
    for key in list(lengths)[1:]:
        message = f"excludes trainer.{next(iter(lengths))}; keep one of {', '.join(EXCLUSIVE)}"
        problems.append(Problem(_PLACE, f"trainer.{key}", message))
    return layer
