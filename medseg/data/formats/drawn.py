"""Objects as an annotation file lists them: checked one by one, then gathered by image."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from medseg.data.annotation import Annotation, Frame
from medseg.data.formats import files
from medseg.errors import InputError


class Drawn(NamedTuple):
    """One object of a file.

    Attributes:
        where: its place there, for messages: ``object 3``, ``line 12``.
        name: its class.
        numbers: as of `Annotation.objects`.
        ignored: it is neither an object nor background.
    """

    where: str
    name: str
    numbers: tuple[float, ...]
    ignored: bool = False


def require_sound(drawn: Sequence[Drawn], frame: Frame, *, file: Path, once: bool = True) -> None:
    """Refuse what is no box in any image.

    Args:
        drawn: objects of one image.
        frame: what their numbers count in.
        file: where they were written, for messages.
        once: whether two may not be the same.

    Raises:
        InputError: a number is not finite, corners are swapped, a box or a sphere has no size, or
            two objects are the same.
    """
    seen: dict[tuple[str, tuple[float, ...]], str] = {}
    for one in drawn:
        if not all(math.isfinite(number) for number in one.numbers):
            raise InputError(
                f"{one.where} has a coordinate that is no finite number",
                file=file,
                expected="finite numbers",
                found=_shown(one.numbers),
                remedy="correct it, or remove the object",
            )
        _require_size(one, frame, file)
        key = (one.name, one.numbers)
        if once and key in seen:
            raise InputError(
                f"{one.where} is the same as {seen[key]}",
                file=file,
                expected="each object once",
                found=f"{one.name} twice at {_shown(one.numbers)}",
                remedy="remove one of them",
            )
        seen[key] = one.where


def gather(
    drawn: Iterable[Drawn],
    frame: Frame,
    names: Mapping[str, int],
    *,
    file: Path | None,
    shape: tuple[int, ...] | None = None,
) -> Annotation:
    """Make an image's annotation of what was drawn in it; ``names`` number the classes from 0."""
    everything = list(drawn)
    objects = [one for one in everything if not one.ignored]
    return Annotation(
        frame,
        tuple(one.numbers for one in objects),
        tuple(names[one.name] for one in objects),
        file,
        tuple(one.numbers for one in everything if one.ignored),
        shape,
    )


def numbered(names: Iterable[str]) -> dict[str, int]:
    """Give classes their values, 1 to K, by name."""
    return {name: number for number, name in enumerate(sorted(set(names)), start=1)}


def shape_of(*sides: float | None) -> tuple[int, ...] | None:
    """Return the shape that a file says its image has, rows first; some write 0 for unknown."""
    known = [int(side) for side in sides if side is not None and 0 < side < math.inf]
    return tuple(known) if len(known) == len(sides) else None


def part_notes(missing: Sequence[str], what: str) -> tuple[str, ...]:
    """Say that annotations speak of images that are not here."""
    if not missing:
        return ()
    return (f"{what} of {files.count(len(missing), 'image')} that are not here, left out",)


def _require_size(one: Drawn, frame: Frame, file: Path) -> None:
    if frame == "spheres":
        sizes = one.numbers[-1:]
    else:
        half = len(one.numbers) // 2
        lower, upper = one.numbers[:half], one.numbers[half:]
        sizes = tuple(b - a for a, b in zip(lower, upper, strict=True))
        sizes = sizes[:2] if frame == "slices" else sizes  # z0 = z1: one slice
    if any(size < 0 for size in sizes):
        swapped = frame in ("voxels", "slices")
        raise InputError(
            f"{one.where} has a negative size" + (": its corners are swapped" if swapped else ""),
            file=file,
            expected="the lower corner first, then the upper one" if swapped else "more than 0 mm",
            found=_shown(one.numbers),
            remedy=f"{'swap its corners' if swapped else 'correct its size'}, or remove the object",
        )
    if any(size == 0 for size in sizes):
        raise InputError(
            f"{one.where} has no size",
            file=file,
            expected="more than 0 along each axis",
            found=_shown(one.numbers),
            remedy="correct its size, or remove the object",
        )


def _shown(numbers: Sequence[float]) -> str:
    return "(" + ", ".join(f"{number:g}" for number in numbers) + ")"
