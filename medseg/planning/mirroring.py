"""Along which axes an image may be reversed and still show a patient."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from medseg.errors import InputError

_SIDES = {"left", "right", "lt", "rt", "l", "r", "lh", "rh", "sinister", "dexter"}


def left_right(orientation: str | None) -> int | None:
    """Give the axis from left to right of an array with these axis codes; pictures have none."""
    if orientation is None:
        return None
    return next(axis for axis, code in enumerate(orientation) if code in "LR")


def knows_side(names: Iterable[str]) -> bool:
    """Tell whether a class is named after a side of the body: ``left kidney``, ``lung_R``."""
    # "LeftKidney" has two words, and so has "kidney2left"; "L4" is a vertebra.
    words = (re.findall(r"[A-Z]?[a-z]{2,}|[A-Z]{2,}|[A-Za-z](?!\d)", name) for name in names)
    return any(word.lower() in _SIDES for found in words for word in found)


def mirrored_in_training(
    orientation: str | None, patch_size: Sequence[int], names: Iterable[str], *, mild: bool
) -> tuple[int, ...]:
    """Choose the axes that training mirrors when the recipe says nothing of them.

    A body is nearly the same from left to right, so that a mirrored patient could be another one;
    upside down he could not. Long trainings learn from that nevertheless (nnU-Net mirrors every
    axis). A class that knows its side would become the other one's: then left–right stays, and in
    a picture, whose axes are not known, every axis.

    Args:
        orientation: axis codes of the array, or ``None`` for pictures.
        patch_size: voxels per axis; a single one has nothing to reverse.
        names: of the classes.
        mild: left–right only.
    """
    across = left_right(orientation)
    axes = {across} if mild else set(range(len(patch_size)))
    if knows_side(names):
        axes = set() if across is None else axes - {across}
    return tuple(axis for axis, n in enumerate(patch_size) if axis in axes and n > 1)


def mirrored_in_prediction(
    asked: bool | str, orientation: str | None, mirrored: Sequence[int]
) -> tuple[int, ...]:
    """Choose the axes along which predictions are averaged over reversed images.

    Each doubles the time. Most of the gain comes from one (docs/performance.md).

    Args:
        asked: ``auto`` is left–right if training mirrored it; ``True`` is what training mirrored.
        orientation: axis codes of the array, or ``None`` for pictures.
        mirrored: axes that training mirrored.

    Raises:
        InputError: ``True``, and training mirrored nothing: a network that has never seen reversed
            images would do worse for them.
    """
    if asked == "auto":
        across = left_right(orientation)
        return (across,) if across is not None and across in mirrored else ()
    if asked and not mirrored:
        raise InputError(
            "inference.mirror is true, but training mirrors nothing",
            found="a network that never sees reversed images predicts them badly",
            remedy="train with a mirror (augmentation: strong, or a list with mirror), or leave "
            "inference.mirror at auto",
        )
    return tuple(mirrored) if asked else ()
