"""What operators that know places do to the axes of the image: windows, steps, slices."""

from __future__ import annotations

from collections.abc import Callable

from medseg.networks.anatomy.axes import Axes, Dimension, MixedError, Part, is_plain, plain, single
from medseg.networks.anatomy.field import Field, convolved, resampled, transposed
from medseg.networks.anatomy.operation import Operation, window


def windowed(op: Operation) -> Axes:
    """Convolve, transposed or not, or pool."""
    kernel, stride, padding, dilation = window(op) or ()
    behind = transposed if op.given.get("transposed") else convolved

    def change(i: int, part: Part) -> Field:
        return behind(
            part.field or Field(),
            kernel[i],
            stride=stride[i],
            padding=padding[i],
            dilation=dilation[i],
        )

    axes, dims = op.of(op.first), len(kernel)
    changed = _each(op, change, dims)
    if op.name != "convolution":
        return (*axes[:-dims], *changed)
    if not is_plain(axes[1]):
        raise MixedError
    return (axes[0], plain(op.out.shape[1]), *changed)


def interpolated(op: Operation) -> Axes:
    """Enlarge or shrink without weights; voxels made of channels see what those saw."""
    # An unpooled voxel comes from the pooled one of its window, as the nearest does.
    modes = ("nearest_exact", "nearest", "cubic", "linear")
    mode = next((mode for mode in modes if mode in op.name), "nearest")

    def change(i: int, part: Part) -> Field:
        return resampled(
            part.field or Field(),
            part.size,
            op.out.shape[2 + i],
            mode=mode.replace("_", "-"),
            align_corners=bool(op.given.get("align_corners")),
        )

    return _resized(op, change)


def adaptive(op: Operation) -> Axes:
    """Pool to a given size, or make channels of voxels.

    Raises:
        MixedError: to one voxel, or to a size that windows do not divide.
    """

    def change(i: int, part: Part) -> Field:
        size = op.out.shape[2 + i]
        if size == 1 or part.size % size:
            raise MixedError
        return convolved(part.field or Field(), part.size // size, stride=part.size // size)

    return _resized(op, change)


def padded(op: Operation) -> Axes:
    """Add voxels around, with whatever values."""
    pad = op.given["pad" if "pad" in op.given else "padding"]
    axes = list(op.of(op.first))
    for number in range(len(pad) // 2):
        at = len(axes) - 1 - number
        if pad[2 * number] or pad[2 * number + 1]:
            axes[at] = _moved(axes[at], op.out.shape[at], -pad[2 * number], 1)
    return tuple(axes)


def sliced(op: Operation) -> Axes:
    """Take a part of a dimension, or every n-th entry."""
    axes, at = list(op.of(op.first)), op.given["dim"] % op.first.ndim
    start, step, size = op.given["start"] or 0, op.given["step"], op.first.shape[at]
    start = max(0, start + size) if start < 0 else start
    if start or step > 1 or op.out.shape[at] != size:
        axes[at] = _moved(axes[at], op.out.shape[at], start, step)
    return tuple(axes)


def parted(op: Operation) -> list[Axes]:
    """Cut a dimension into pieces."""
    at = op.given["dim"] % op.first.ndim
    found, start = [], 0
    for piece in op.result:
        axes = list(op.of(op.first))
        axes[at] = _moved(axes[at], piece.shape[at], start, 1)
        start += piece.shape[at]
        found.append(tuple(axes))
    return found


def _resized(op: Operation, change: Callable[[int, Part], Field]) -> Axes:
    """Change all dimensions behind batch and channels."""
    axes = op.of(op.first)
    if not is_plain(axes[1]):
        raise MixedError
    return (axes[0], plain(op.out.shape[1]), *_each(op, change, op.out.ndim - 2))


def _each(op: Operation, change: Callable[[int, Part], Field], dims: int) -> tuple[Dimension, ...]:
    """Change the last ``dims`` dimensions, each by its number and what it is."""
    found = []
    for number, dimension in enumerate(op.of(op.first)[-dims:]):
        size = op.out.shape[op.out.ndim - dims + number]
        if is_plain(dimension):
            found.append(plain(size))
        else:
            part = single(dimension)
            found.append((Part(size, part.axis, change(number, part)),))
    return tuple(found)


def _moved(dimension: Dimension, size: int, start: int, step: int) -> Dimension:
    """Take every ``step``-th entry from ``start``, which may lie before the first."""
    if is_plain(dimension):
        return plain(size)
    part = single(dimension)
    field = convolved(part.field or Field(), 1, stride=step, padding=-start)
    return (Part(size, part.axis, field),)
