"""From a file and overrides to a checked recipe."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from medseg.recipe import rules, shipped, slots
from medseg.recipe.checking import translate
from medseg.recipe.environment import expand
from medseg.recipe.merging import given, merge
from medseg.recipe.nodes import Node
from medseg.recipe.overrides import read_overrides
from medseg.recipe.parents import SUFFIXES, read_with_parents, with_parents
from medseg.recipe.problems import Place, Problem, raise_all, similar
from medseg.recipe.reading import display, read_text
from medseg.recipe.recipe import DEFAULT_BUDGET, Recipe
from medseg.recipe.tasks import DETECTION, DETECTS

# A mapping without a name sets arguments of the default component: `loss.smooth=0`.
_DEFAULT_NAMES = {
    slot: Recipe.model_fields[slot].default for slot in ("network", "loss", "optimizer", "schedule")
}
_REGION_LOSS = "dice_bce"
_RESIDUAL_NETWORK = "residual_unet"
_DETECTION_NETWORK = "retina_unet"


def load(
    path_or_name: str | Path,
    overrides: Sequence[str] = (),
    *,
    trust: Collection[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Recipe:
    """Read, complete and check a recipe; torch is not imported.

    Args:
        path_or_name: a YAML file, or the name of a recipe that ships.
        overrides: ``key.sub=value``, as on the command line.
        trust: top-level packages whose classes the recipe may name. They are not imported here:
            see `medseg.recipe.check_trusted`.
        environment: for ``${VAR}``; ``None`` means the process's own.

    Raises:
        InputErrors: all that is wrong with it, each as ``file:line: key: message``.
    """
    environment = os.environ if environment is None else environment
    problems: list[Problem] = []
    path = _find(path_or_name, problems)
    raise_all(problems)
    tree = read_with_parents(path, problems, environment)
    if tree is None:
        raise_all(problems)
    assert tree is not None
    return _finish(tree, path.stem, display(path), overrides, trust, environment, problems)


def load_text(
    text: str,
    *,
    source: str | Path = "recipe.yaml",
    overrides: Sequence[str] = (),
    trust: Collection[str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Recipe:
    """Read a recipe from text: ``recipe.yaml`` of a run, or what a checkpoint holds.

    Args:
        text: what `Recipe.to_yaml` gave, or any recipe.
        source: file for messages, and the folder that parents are relative to.
        overrides: as for `load`.
        trust: as for `load`; ``None`` accepts every name, since nothing is imported here.
        environment: for ``${VAR}``; ``None`` means the process's own.

    Raises:
        InputErrors: all that is wrong with it.
    """
    environment = os.environ if environment is None else environment
    problems: list[Problem] = []
    path = Path(source)
    tree = read_text(text, display(path), problems)
    if tree is None:
        raise_all(problems)
    assert tree is not None
    tree = with_parents(tree, path, problems, environment)
    return _finish(tree, path.stem, display(path), overrides, trust, environment, problems)


def _finish(
    tree: Node,
    name: str,
    source: str,
    overrides: Sequence[str],
    trust: Collection[str] | None,
    environment: Mapping[str, str],
    problems: list[Problem],
) -> Recipe:
    tree = merge(tree, read_overrides(overrides, problems), problems)
    stated = {key for key, node in tree.entries.items() if node.value is not None}
    tree = expand(_completed(tree, name), environment, problems)
    recipe = None
    try:
        # As JSON, for there strict types and lists for tuples go together.
        recipe = Recipe.model_validate_json(json.dumps(tree.plain()))
    except ValidationError as error:
        unset = {problem.key for problem in problems}
        found = translate(error, tree)
        # `${N}` without N is no number either, but that is one mistake, not two.
        problems += [problem for problem in found if problem.key not in unset]
    problems += slots.check(tree, trust=trust)
    problems += rules.check(tree)
    raise_all(problems)
    assert recipe is not None
    recipe._tree = tree
    recipe._source = source
    if recipe.task == DETECTION:  # whose network and loss are filled in where nobody names one
        recipe._of_task = frozenset(DETECTS) - stated
    return recipe


def _completed(tree: Node, name: str) -> Node:
    """Add the defaults that depend on something else than their own key."""
    entries = {key: node for key, node in tree.entries.items() if node.value is not None}
    place = Place(tree.place.file, 1) if not tree.place.is_command_line else tree.place
    entries.setdefault("name", Node(name, place))
    entries.setdefault("run_dir", Node(f"runs/{entries['name'].value}", place))
    task = entries.get("task")
    finds = task is not None and task.value == DETECTION
    if finds:
        entries.setdefault("network", Node({}, place))
        entries.setdefault("loss", Node({}, place))
    regions = tree.get("data", "regions")
    if regions is not None and regions.value not in (None, False):
        entries.setdefault("loss", Node({}, place))
    preset = tree.get("plan", "preset")
    residual = preset is not None and str(preset.value).startswith("resenc")
    if residual:
        entries.setdefault("network", Node({}, place))
    for slot, default in _DEFAULT_NAMES.items():
        node = entries.get(slot)
        if node is not None and isinstance(node.value, dict) and "name" not in node.value:
            with_regions = slot == "loss" and regions is not None and regions.value
            text = _REGION_LOSS if with_regions else default
            text = _RESIDUAL_NETWORK if slot == "network" and residual else text
            if finds and slot == "network":
                text = _DETECTION_NETWORK
            elif finds and slot == "loss":
                text = _detection_loss(entries["network"])
            entries[slot] = node.replace({"name": Node(text, node.place), **node.value})
    trainer = entries.get("trainer", Node({}, place))
    if isinstance(trainer.value, dict) and not given(trainer):
        budget = Node(DEFAULT_BUDGET, trainer.place)
        entries["trainer"] = trainer.replace({**trainer.value, "budget": budget})
    data = entries.get("data", Node({}, place))
    if isinstance(data.value, dict) and _format(data) == "phantom" and data.get("phantom") is None:
        entries["data"] = data.replace({**data.value, "phantom": Node({}, data.place)})
    return Node(entries, place)


def _format(data: Node) -> object:
    node = data.get("format")
    return node.value if node is not None else None


def _find(path_or_name: str | Path, problems: list[Problem]) -> Path:
    """Return the file: the path itself, else a recipe that ships under that name."""
    path = Path(path_or_name).expanduser()
    for candidate in (Path(f"{path}{suffix}") for suffix in SUFFIXES):
        if candidate.is_file():
            return candidate
    found = shipped.find(str(path_or_name))
    if len(found) == 1:
        return found[0]
    place = Place(str(path_or_name))
    names = shipped.shipped()
    if found:
        choices = tuple(name for name, file in names.items() if file in found)
        problems.append(Problem(place, "", "several shipped recipes have this name", choices))
    elif path.is_dir():
        message = "a recipe is a YAML file, this is a folder; medseg init FOLDER writes a recipe"
        problems.append(Problem(place, "", message))
    else:
        near = [name.rsplit("/", 1)[-1] for name in names]
        beside = path.parent.glob("*.y*ml") if path.parent.is_dir() else []
        near += [str(path.parent / file.name) for file in beside]
        message = "there is no such file, and no recipe of this name ships with medseg"
        problems.append(Problem(place, "", message, similar(str(path_or_name), near)))
    return path


def _detection_loss(network: Node) -> str:
    """Name the loss that goes with a detector where nobody names one."""
    named = network.child("name") if isinstance(network.value, dict) else network
    without_anchors = named is not None and named.value == "centre_net"
    return "centre_point" if without_anchors else "retina"
