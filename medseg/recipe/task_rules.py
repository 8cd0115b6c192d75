"""What must hold between the task and the other keys."""

from __future__ import annotations

from collections.abc import Iterator

from medseg.recipe import catalogue
from medseg.recipe.nodes import Node
from medseg.recipe.problems import Problem
from medseg.recipe.tasks import DETECTION, DETECTS, fits, named

# What belongs to masks: key -> the value that asks for nothing.
_OF_MASKS = {
    ("cascade", "first"): None,
    ("data", "empty_labels"): False,
    ("inference", "affine"): "none",
    ("evaluation", "empty"): "skip",
    ("plan", "neighbours"): 0,
    ("plan", "batch_dice"): None,
}
# What to say instead, where there is something.
_INSTEAD = {("data", "empty_labels"): "; what an image without objects is, detection.empty says"}
_FOR_MASKS = "is for masks, and task is detection"
# Bends space: boxes would not stay boxes.
_BENDS = "elastic"
_FOREIGN = ("monai.", "torchio.")


def check(tree: Node) -> Iterator[Problem]:
    """Refuse what the task at hand takes no notice of."""
    task = tree.get("task")
    if task is not None and task.value == DETECTION:
        yield from _of_masks(tree)
        yield from _of_anchors(tree)
        yield from _bent(tree)
    else:
        yield from _of_boxes(tree)


def _of_masks(tree: Node) -> Iterator[Problem]:
    for path, idle in _OF_MASKS.items():
        node = tree.get(*path)
        if node is not None and node.value not in (None, idle):
            yield Problem(node.place, ".".join(path), _FOR_MASKS + _INSTEAD.get(path, ""))
    steps = tree.get("inference", "postprocessing")
    if steps is not None and steps.items:
        message = f"{_FOR_MASKS}; which boxes are kept, detection.score and detection.overlap say"
        yield Problem(steps.place, "inference.postprocessing", message)
    for slot, known in DETECTS.items():
        name = named(tree, slot)
        if name is not None and catalogue.find(slot, name) and not fits(DETECTION, slot, name):
            message = f"{name} {_FOR_MASKS}; for boxes: {', '.join(known)}"
            yield Problem(tree.get(slot).place, slot, message)  # type: ignore[union-attr]


def _of_anchors(tree: Node) -> Iterator[Problem]:
    node = tree.get("detection", "anchors")
    if node is not None and node.value is not None and named(tree, "network") == "centre_net":
        message = "has no meaning with centre_net, which finds objects by their centres"
        yield Problem(node.place, "detection.anchors", message)


def _of_boxes(tree: Node) -> Iterator[Problem]:
    section = tree.get("detection")
    paths = [("detection", key) for key in (section.entries if section is not None else ())]
    for path in [*paths, ("plan", "levels")]:
        node = tree.get(*path)
        if node is not None and node.value is not None:
            yield Problem(node.place, ".".join(path), "has no meaning without task: detection")
    for slot, known in DETECTS.items():
        name = named(tree, slot)
        if name in known:
            message = f"{name} finds boxes, and task is segmentation; for boxes: task: detection"
            yield Problem(tree.get(slot).place, slot, message)  # type: ignore[union-attr]


def _bent(tree: Node) -> Iterator[Problem]:
    transforms = tree.get("augmentation")
    for item in transforms.items if transforms is not None else ():
        node = item.child("name") if isinstance(item.value, dict) else item
        name = node.value if node is not None else None
        if name == _BENDS:
            message = "boxes cannot follow an elastic deformation; leave it out, or take affine"
            yield Problem(item.place, "augmentation", message)
        elif isinstance(name, str) and name.startswith(_FOREIGN):
            message = f"{name} may move voxels, and boxes would not follow; take one of ours"
            yield Problem(item.place, "augmentation", message)
