"""``extends``: a recipe on top of one or several parents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from medseg.recipe import shipped
from medseg.recipe.environment import expand
from medseg.recipe.merging import check_exclusive, merge
from medseg.recipe.nodes import Node
from medseg.recipe.problems import Problem, similar
from medseg.recipe.reading import display, read_file

SUFFIXES = ("", ".yaml", ".yml")


def read_with_parents(
    path: Path,
    problems: list[Problem],
    environment: Mapping[str, str],
    *,
    open_files: tuple[Path, ...] = (),
) -> Node | None:
    """Read a recipe and lay it on its parents; later parents win over earlier ones.

    Missing parents and circles become problems in the line that names them.
    """
    node = read_file(path, problems)
    if node is None:
        return None
    return with_parents(node, path, problems, environment, open_files=open_files)


def with_parents(
    node: Node,
    path: Path,
    problems: list[Problem],
    environment: Mapping[str, str],
    *,
    open_files: tuple[Path, ...] = (),
) -> Node:
    """Lay a recipe that was read from `path` on the parents that it names."""
    entries = dict(node.entries)
    named = entries.pop("extends", None)
    own = node.replace(entries)
    check_exclusive(own, problems)
    if named is None:
        return own
    open_files = (*open_files, path.resolve())
    base = Node({}, node.place)
    expanded = expand(Node({"extends": named}, named.place), environment, problems)
    for parent in _names(expanded.get("extends"), problems):
        file = _locate(parent, path.parent, problems)
        if file is None:
            continue
        if file.resolve() in open_files:
            start = open_files.index(file.resolve())
            circle = " -> ".join(p.name for p in (*open_files[start:], file))
            message = f"the parents go round in a circle: {circle}"
            problems.append(Problem(parent.place, "extends", message))
            continue
        above = read_with_parents(file, problems, environment, open_files=open_files)
        if above is not None:
            # The name belongs to the file that states it, not to what is built on it.
            above = above.replace({k: v for k, v in above.entries.items() if k != "name"})
            base = merge(base, above, problems)
    return merge(base, own, problems)


def _names(named: Node | None, problems: list[Problem]) -> list[Node]:
    assert named is not None
    nodes = named.value if isinstance(named.value, list) else [named]
    good = [node for node in nodes if isinstance(node.value, str) and node.value]
    for node in nodes:
        if node not in good and node.value is not None:
            message = "expected the file or the name of a recipe, or a list of them"
            problems.append(Problem(node.place, "extends", message))
    return good


def _locate(parent: Node, folder: Path, problems: list[Problem]) -> Path | None:
    name = str(parent.value)
    beside = [folder / Path(name + suffix).expanduser() for suffix in SUFFIXES]
    file = next((path for path in beside if path.is_file()), None)
    if file is not None:
        return file
    found = shipped.find(name)
    if len(found) == 1:
        return found[0]
    if found:
        choices = ", ".join(key for key, path in shipped.shipped().items() if path in found)
        message = f"several shipped recipes are called {name}: {choices}"
        problems.append(Problem(parent.place, "extends", message))
        return None
    message = f"there is no parent {name}, neither as {display(beside[0])} nor among what ships"
    near = [p.name for p in folder.glob("*.y*ml")] if folder.is_dir() else []
    near += [key.rsplit("/", 1)[-1] for key in shipped.shipped()]
    hint = similar(Path(name).name, near)
    problems.append(Problem(parent.place, "extends", message, hint))
    return None
