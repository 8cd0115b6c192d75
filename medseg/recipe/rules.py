"""What must hold between keys, beyond what each of them takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from medseg.recipe import task_rules
from medseg.recipe.cascade_section import OWN, Cascade
from medseg.recipe.nodes import Node
from medseg.recipe.problems import Problem, similar

# What fits labels that exclude each other, and the same for overlapping regions.
_FOR_REGIONS = {"ce": "bce", "dice_ce": "dice_bce"}
_FOR_CLASSES = {regions: classes for classes, regions in _FOR_REGIONS.items()}
# What weights must know of a structure before a loss alone teaches them more.
_NOT_FROM_FRESH_WEIGHTS = {
    "boundary": "where nothing is predicted it is near 0, and so is its gradient",
    "cl_dice": "it sees centre lines and no widths",
}
# What postprocessing calls all classes together.
_FOREGROUND = "foreground"
# What data.labels calls the value of voxels that nobody has labelled.
_IGNORE = "ignore"
_REGIMES = ("small", "medium", "large")


def check(tree: Node) -> Iterator[Problem]:
    """Yield every broken rule; values of a wrong type are left to the skeleton's check."""
    yield from _data(tree)
    yield from _loss(tree)
    yield from _plan(tree)
    yield from _transfer(tree)
    yield from _postprocessing(tree)
    yield from _cascade(tree)
    yield from task_rules.check(tree)


def _data(tree: Node) -> Iterator[Problem]:
    folds, fold = _value(tree, "data", "folds"), _value(tree, "data", "fold")
    folds = 5 if folds is None else folds
    if _whole(folds) and _whole(fold) and fold >= folds >= 2:
        node = tree.get("data", "fold")
        message = f"there are {folds} folds, 0 to {folds - 1}, and all; found {fold}"
        yield Problem(node.place, "data.fold", message)  # type: ignore[union-attr]
    yield from _labels(tree)


def _labels(tree: Node) -> Iterator[Problem]:
    labels, regions = tree.get("data", "labels"), tree.get("data", "regions")
    if labels is None or not isinstance(labels.value, dict):
        return
    owner: dict[int, str] = {}
    for name, node in labels.value.items():
        value: Any = node.value
        if not _whole(value):
            return
        if name == _IGNORE and value == 0:
            message = "0 is the background, which is a class; move it with data.value_map"
            yield Problem(node.place, f"data.labels.{name}", message)
        elif value in owner:
            message = f"has the value {value}, which {owner[value]} has already"
            if _IGNORE in (name, owner[value]):
                message += "; what is ignored cannot be a class too, and takes a value of its own"
            yield Problem(node.place, f"data.labels.{name}", message)
        owner.setdefault(value, name)
    if regions is None or not isinstance(regions.value, dict):
        return
    owner = {value: name for value, name in owner.items() if name != _IGNORE}
    for name, node in regions.value.items():
        for item in node.value if isinstance(node.value, list) else []:
            if _whole(item.value) and (item.value not in owner or item.value == 0):
                known = ", ".join(map(str, sorted(owner.keys() - {0})))
                message = f"unites foreground values of data.labels, {item.value} is not one"
                message += f" of {known}"
                yield Problem(item.place, f"data.regions.{name}", message)


def _loss(tree: Node) -> Iterator[Problem]:
    node = tree.get("loss")
    name = _value(tree, "loss", "name") if node and isinstance(node.value, dict) else None
    name = name or (node.value if node else None)
    if node is None or not isinstance(name, str):
        return
    regions = bool(_value(tree, "data", "regions"))
    if regions and name in _FOR_REGIONS:
        message = f"{name} is for labels that exclude each other; data.regions overlap"
        yield Problem(node.place, "loss", message, (_FOR_REGIONS[name],))
    if not regions and name in _FOR_CLASSES:
        message = f"{name} is for overlapping regions, and data.regions is not set"
        yield Problem(node.place, "loss", message, (_FOR_CLASSES[name],))
    if name in _NOT_FROM_FRESH_WEIGHTS and _begins_afresh(tree):
        message = f"{name} alone does not teach fresh weights: {_NOT_FROM_FRESH_WEIGHTS[name]}; "
        message += "it goes on from a trained network, transfer.from"
        if _value(tree, "cascade", "first") in OWN:
            message += ", which the first stage of a cascade has not"
        yield Problem(node.place, "loss", message, (f"dice_{name}",))


def _begins_afresh(tree: Node) -> bool:
    """Tell whether a training of the recipe, or of its first stage, starts without weights."""
    return not _value(tree, "transfer", "from") or _value(tree, "cascade", "first") in OWN


def _plan(tree: Node) -> Iterator[Problem]:
    """Axes and stages must agree in number."""
    dims = _value(tree, "plan", "spatial_dims")
    for key in ("patch_size", "spacing"):
        node = tree.get("plan", key)
        if node is None or not isinstance(node.value, list):
            continue
        number = len(node.value)
        wanted = (
            f"{dims} numbers, as plan.spatial_dims says" if dims in (2, 3) else "2 or 3 numbers"
        )
        if number not in ((dims,) if dims in (2, 3) else (2, 3)):
            message = f"expected {wanted}, found {number}"
            yield Problem(node.place, f"plan.{key}", message)
        elif dims not in (2, 3):
            dims = number
    stages = None
    for key in ("features", "strides", "kernels"):
        node = tree.get("plan", key)
        if node is None or not isinstance(node.value, list):
            continue
        if stages is not None and len(node.value) != stages[1]:
            message = f"has {len(node.value)} stages, plan.{stages[0]} has {stages[1]}"
            yield Problem(node.place, f"plan.{key}", message)
        stages = stages or (key, len(node.value))


def _transfer(tree: Node) -> Iterator[Problem]:
    """Refuse what a regime takes no notice of."""
    regime = _value(tree, "transfer", "regime")
    regime = "large" if regime is None else regime
    for key, idle, heeded in (("stages", None, ("medium",)), ("lr_decay", 1, ("medium", "large"))):
        node = tree.get("transfer", key)
        if node is None or node.value in (None, idle) or regime not in _REGIMES:
            continue
        if regime not in heeded:
            message = f"regime {regime} takes no notice of it: it is for {' and '.join(heeded)}"
            yield Problem(node.place, f"transfer.{key}", message)


def _postprocessing(tree: Node) -> Iterator[Problem]:
    """Only ``remove_small`` has a size; a step is for a class that there is, as far as is known."""
    steps = tree.get("inference", "postprocessing")
    if steps is None or not isinstance(steps.value, list):
        return
    known = _outputs(tree)
    for number, step in enumerate(steps.value):
        if not isinstance(step.value, dict):
            continue
        key = f"inference.postprocessing.{number}"
        name, size = _value(step, "name"), _value(step, "min_size")
        if name == "remove_small" and size is None:
            yield Problem(step.place, key, "remove_small needs min_size, in mm³")
        if name in ("largest_component", "fill_holes") and size is not None:
            yield Problem(step.place, f"{key}.min_size", f"{name} has no size")
        of = _value(step, "of")
        if known and isinstance(of, str) and of not in known:
            message = f"there is no such class or region: {of}"
            yield Problem(step.place, f"{key}.of", message, similar(of, known))


def _outputs(tree: Node) -> list[str]:
    """Name what steps can be for, if the recipe itself says; presets are not known here."""
    regions, labels = tree.get("data", "regions"), tree.get("data", "labels")
    if regions is not None and isinstance(regions.value, dict):
        return [*regions.value, _FOREGROUND]
    named = labels is not None and isinstance(labels.value, dict)
    if not named or (regions is not None and regions.value):
        return []
    values = {name: node.value for name, node in labels.value.items()}  # type: ignore[union-attr]
    return [*(n for n, v in values.items() if n != _IGNORE and v != 0), _FOREGROUND]


def _cascade(tree: Node) -> Iterator[Problem]:
    """A key that would do nothing is a misunderstanding."""
    first, use = _value(tree, "cascade", "first"), _value(tree, "cascade", "use")
    for key, field in Cascade.model_fields.items():
        node = tree.get("cascade", key)
        if key == "first" or node is None or node.value in (None, field.default):
            continue
        if first is None:
            message = "has no meaning without cascade.first, which names the first stage"
        elif key == "spacing" and first not in OWN:
            message = f"is that of a first stage that is trained here; {first} is trained"
        elif key == "margin" and not _crops(first, use):
            message = "is kept around a box, and nothing is cropped: cascade.use is channels"
        else:
            continue
        yield Problem(node.place, f"cascade.{key}", message)


def _crops(first: Any, use: Any) -> bool:
    return first == "coarse" if use in (None, "auto") else use != "channels"


def _value(tree: Node, *path: str) -> Any:
    node = tree.get(*path)
    return node.value if node is not None else None


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
