"""What belongs to which task, and what of a parent gives way to a recipe of another task."""

from __future__ import annotations

from collections.abc import Mapping

from medseg.recipe.nodes import Node

SEGMENTATION = "segmentation"
DETECTION = "detection"

# What finds boxes, among the components of ours; by slot. Their other names are for masks.
DETECTS: Mapping[str, tuple[str, ...]] = {
    "network": ("retina_net", "retina_unet", "centre_net"),
    "loss": ("retina", "centre_point"),
}
# What a recipe of a detection alone can say, as dotted names.
_OF_BOXES = (("detection",), ("plan", "levels"))


def fits(task: object, slot: str, name: str) -> bool:
    """Tell whether a component is for a task; a class of the user's own is for any."""
    return ":" in name or (name in DETECTS[slot]) == (task == DETECTION)


def named(tree: Node, slot: str) -> str | None:
    """Return the name of the component in a slot, written long or short."""
    node = tree.get(slot)
    if node is not None and isinstance(node.value, dict):
        node = node.child("name")
    return node.value if node is not None and isinstance(node.value, str) else None


def giving_way(base: Node, over: Node) -> Node:
    """Return a parent without the network and the loss that are not for the task of its child.

    A child that says ``task: detection`` of what a segmentation stands on wants its data, its
    schedule and its time, and can do nothing with its network. What the child names itself stays,
    and is refused where it does not fit.
    """
    task = over.get("task")
    if task is None or task.value not in (SEGMENTATION, DETECTION) or task.value == _task(base):
        return base
    entries = dict(base.entries)
    for slot in DETECTS:
        name = named(base, slot)
        if name is None or not fits(task.value, slot, name):
            entries.pop(slot, None)
    if task.value == SEGMENTATION:
        for first, *rest in _OF_BOXES:
            entries = _without(entries, first, *rest)
    return base.replace(entries)


def _task(tree: Node) -> object:
    node = tree.get("task")
    return SEGMENTATION if node is None or node.value is None else node.value


def _without(entries: Mapping[str, Node], first: str, *rest: str) -> dict[str, Node]:
    out = dict(entries)
    if not rest:
        out.pop(first, None)
    elif first in out and isinstance(out[first].value, dict):
        out[first] = out[first].replace(_without(out[first].entries, *rest))
    return out
