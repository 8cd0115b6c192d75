"""``${VAR}`` and ``${VAR:default}`` in values."""

from __future__ import annotations

import re
from collections.abc import Mapping

from medseg.recipe.nodes import Node, dotted
from medseg.recipe.problems import Problem, similar
from medseg.recipe.scalars import parse_scalar

# `$${` is how a recipe writes a literal `${`.
_VARIABLE = re.compile(r"\$(?P<escaped>\$\{)|\$\{(?P<name>[^}:]*)(:(?P<default>[^}]*))?\}")
Path = tuple[str | int, ...]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def expand(node: Node, environment: Mapping[str, str], problems: list[Problem]) -> Node:
    """Return the tree with variables replaced; each node keeps what was written.

    A value that is one variable and nothing else is typed by the rules of YAML: ``${STEPS:40}`` is
    a number. A missing variable without default is a problem.
    """
    return _expand(node, environment, problems, ())


def _expand(
    node: Node, environment: Mapping[str, str], problems: list[Problem], path: Path
) -> Node:
    if isinstance(node.value, dict):
        entries = node.entries.items()
        out = {k: _expand(child, environment, problems, (*path, k)) for k, child in entries}
        return node.replace(out)
    if isinstance(node.value, list):
        items = enumerate(node.items)
        return node.replace(
            [_expand(child, environment, problems, (*path, i)) for i, child in items]
        )
    if not isinstance(node.value, str) or "${" not in node.value:
        return node

    def replace(match: re.Match) -> str:
        if match["escaped"]:
            return "${"
        name, default = match["name"].strip(), match["default"]
        if not _NAME.fullmatch(name):
            message = f"{match[0]} does not name an environment variable"
            problems.append(Problem(node.place, dotted(path), message))
        elif name in environment:
            return environment[name]
        elif default is not None:
            return default
        else:
            message = f"the environment variable {name} is not set; set it or write ${{{name}:…}}"
            hint = tuple("${" + word + "}" for word in similar(name, environment))
            problems.append(Problem(node.place, dotted(path), message, hint))
        return match[0]

    text = _VARIABLE.sub(replace, node.value)
    whole = _VARIABLE.fullmatch(node.value)
    value = parse_scalar(text) if whole and not whole["escaped"] else text
    return Node(value, node.place, written=node.value)
