"""Boxes of a picture as W&B takes them, to be switched on and off there by class and by score."""

from __future__ import annotations

from typing import Any

from medseg.tracking.box_pictures import BoxPicture, Rectangle


def wandb_boxes(picture: BoxPicture) -> dict[str, Any]:
    """Return what ``wandb.Image(picture.plain, boxes=…)`` takes: ``predictions``, ``reference``."""
    labels = dict(enumerate(picture.classes))
    labels |= {one.label: picture.name_of(one.label) for one in picture.rectangles}
    groups = {
        "predictions": [one for one in picture.rectangles if not one.reference],
        "reference": [one for one in picture.rectangles if one.reference],
    }
    return {
        name: {"box_data": [_box(one, labels[one.label]) for one in group], "class_labels": labels}
        for name, group in groups.items()
    }


def _box(one: Rectangle, name: str) -> dict[str, Any]:
    box: dict[str, Any] = {
        "position": {"minX": one.left, "maxX": one.right, "minY": one.top, "maxY": one.bottom},
        "domain": "pixel",
        "class_id": one.label,
        "box_caption": name,
    }
    if one.score is not None:
        box |= {"box_caption": f"{name} {one.score:.2f}", "scores": {"score": one.score}}
    return box
