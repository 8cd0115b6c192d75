"""Where the axes of the image are in a tensor, through every view of it; no torch.

A tensor's dimension is a product of parts, the outer one first: after ``flatten(2)`` the tokens of
a 3D network are made of three, and ``view`` may take them apart again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from medseg.networks.anatomy.field import Field, convolved, resampled, united


class MixedError(Exception):
    """Voxels from everywhere meet, or the axes of the image can no longer be told apart."""


@dataclass(frozen=True)
class Part:
    """A factor of a dimension.

    Attributes:
        size: how many entries.
        axis: of the image, or ``None``: channels, heads, a batch.
        field: what these entries see along that axis.
    """

    size: int
    axis: int | None = None
    field: Field | None = None


Dimension = tuple[Part, ...]
Axes = tuple[Dimension, ...]


def of_image(shape: Sequence[int]) -> Axes:
    """Return the axes of an image ``(B, C, *S)``."""
    spatial = (Part(size, axis, Field()) for axis, size in enumerate(shape[2:]))
    return (plain(shape[0]), plain(shape[1]), *((part,) for part in spatial))


def plain(size: int) -> Dimension:
    """Return a dimension that is no axis of the image."""
    return (Part(size),)


def is_plain(dimension: Dimension) -> bool:
    """Say whether a dimension holds no axis of the image."""
    return all(part.axis is None for part in dimension)


def length(dimension: Dimension) -> int:
    """Return the entries of a dimension."""
    return prod(part.size for part in dimension)


def fields(axes: Axes, spatial_dims: int) -> tuple[int, ...]:
    """Return the receptive field per axis of the image, in voxels."""
    found = {p.axis: p.field.size for dimension in axes for p in dimension if p.field is not None}
    return tuple(found.get(axis, 1) for axis in range(spatial_dims))


def single(dimension: Dimension) -> Part:
    """Return the one axis of the image that a dimension is; channels inside it are its voxels.

    This is a pixel shuffle: ``f`` channels that become ``f`` voxels see what one saw before.

    Raises:
        MixedError: it is none, or several.
    """
    outer, *inner = dimension
    if outer.axis is None or outer.field is None or not is_plain(tuple(inner)):
        raise MixedError
    times = length(tuple(inner))
    return Part(outer.size * times, outer.axis, resampled(outer.field, 1, times))


def reshaped(axes: Axes, shape: Sequence[int]) -> Axes:
    """Return the axes after ``view(shape)``.

    Raises:
        MixedError: an axis of the image is cut where it cannot be followed.
    """
    # Entries of one are nowhere in memory; an axis of the image that has shrunk to one voxel stays.
    parts = [p for dimension in axes for p in dimension if p.size > 1 or p.axis is not None]
    found = []
    for size in shape:
        taken: list[Part] = []
        missing = size
        while parts and (missing > 1 or (size == 1 and not taken and parts[0].size == 1)):
            part = parts.pop(0)
            if part.size > missing:
                part, rest = _split(part, missing)
                parts.insert(0, rest)
            if missing % part.size:
                raise MixedError
            missing //= part.size
            taken.append(part)
        found.append(tuple(taken) or plain(1))
    if any(part.axis is not None for part in parts):
        raise MixedError
    return tuple(found)


def joined(a: Dimension, b: Dimension, size: int) -> Dimension:
    """Return the dimension of ``size`` where two are added, multiplied or joined.

    Raises:
        MixedError: they are different axes of the image.
    """
    if is_plain(a) and is_plain(b):
        return plain(size)
    if is_plain(a) or is_plain(b):
        some = b if is_plain(a) else a
        if length(some) != size:
            raise MixedError
        return some
    if [(p.size, p.axis) for p in a] != [(p.size, p.axis) for p in b]:
        a, b = (single(a),), (single(b),)
    if [(p.size, p.axis) for p in a] != [(p.size, p.axis) for p in b]:
        raise MixedError
    return tuple(_union(one, other) for one, other in zip(a, b, strict=True))


def _union(a: Part, b: Part) -> Part:
    if a.field is None or b.field is None or a.field == b.field:
        return a
    return replace(a, field=united(a.field, b.field))


def _split(part: Part, outer: int) -> tuple[Part, Part]:
    """Cut a part into ``outer`` groups; the voxels of a group count as one that sees all of it."""
    if part.size % outer:
        raise MixedError
    inner = part.size // outer
    if part.field is None:
        return Part(outer), Part(inner)
    return Part(outer, part.axis, convolved(part.field, inner, stride=inner)), Part(inner)
