"""Read the boxes that a detector wrote, whoever touched the file since."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medseg.errors import InputError, did_you_mean
from medseg.inference.detection.result import Detections

# Too deep, and numbers larger than any float, are damage as well.
_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
_EXPECTED = "the file that medseg predict writes: grid, classes, and objects with score and voxels"


def is_boxes(path: Path) -> bool:
    """Tell by its name and its keys whether a file holds what a detector found."""
    if path.suffix != ".json" or path.name.endswith(".mrk.json") or not path.is_file():
        return False
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        # Named like one and broken: reading it says so.
        return path.name not in ("labels.json", "metrics.json")
    return isinstance(content, dict) and "objects" in content and "grid" in content


def read_boxes(path: Path | str, *, classes: Sequence[str] | None = None) -> Detections:
    """Read what was found in one image.

    Args:
        path: the file.
        classes: names in the order that the result shall have; ``None``: the file's own.

    Raises:
        InputError: the file cannot be read, or is none; a number is not finite, corners are
            swapped, a box has another number of axes than the image; or a class is unknown.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        _check_classes(path, content, classes)
        found = Detections.from_dict(content)
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(
            "there is no such file" if not path.exists() else "these are no boxes",
            file=path,
            expected=_EXPECTED,
            found=f"{type(error).__name__}: {error}" if path.exists() else None,
            remedy="predict anew",
        ) from error
    _check_numbers(path, found)
    return found if classes is None else found.in_order_of(classes)


def _check_classes(path: Path, content: Mapping[str, Any], classes: Sequence[str] | None) -> None:
    known = [str(name) for name in content["classes"]]
    named = dict.fromkeys(str(one["class"]) for one in content["objects"])
    for allowed, names in ((known, named), (classes, known)):
        unknown = [] if allowed is None else [name for name in names if name not in allowed]
        if unknown:
            assert allowed is not None
            raise InputError(
                f"there is no class {unknown[0]!r}",
                file=path,
                expected=", ".join(allowed) or "no class at all",
                found=", ".join(unknown),
                remedy=did_you_mean(unknown[0], allowed)
                or "boxes and references must name the classes alike",
            )


def _check_numbers(path: Path, found: Detections) -> None:
    boxes = found.boxes
    for wrong, message, expected in (
        (~np.isfinite(found.scores), "a score is no finite number", "numbers from 0 to 1"),
        (
            (found.scores < 0) | (found.scores > 1),
            "a score is beyond 0 and 1",
            "numbers from 0 to 1",
        ),
        (
            ~np.isfinite(boxes.corners).all(axis=1),
            "a box has a coordinate that is no finite number",
            "finite numbers",
        ),
        (
            (boxes.sizes < 0).any(axis=1),
            "a box has its corners swapped",
            "the lower corner first",
        ),
    ):
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            lower, upper = (
                "(" + ", ".join(f"{edge:.6g}" for edge in corner[first]) + ")"
                for corner in (boxes.lower, boxes.upper)
            )
            raise InputError(
                message,
                file=path,
                expected=expected,
                found=f"object {first + 1}, {found.names[first]}, score {found.scores[first]:g}, "
                f"from {lower} to {upper}"
                + (f", and {more} more" if (more := int(wrong.sum()) - 1) else ""),
                remedy="predict anew, or correct the file",
            )
