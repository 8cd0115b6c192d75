"""The steps of preprocessing as data: what was done to a case, and how to undo its geometry.

Every function takes arrays whose *trailing* axes are the spatial ones, ``(*S)`` or ``(C, *S)``, and
works on NumPy arrays and torch tensors alike. A record's order: reorient, crop, normalise,
resample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

from medseg.data.prepare.resampling import resample_channel
from medseg.geometry import Grid
from medseg.planning.plan import Normalisation

Array = TypeVar("Array")


@dataclass(frozen=True)
class Reorient:
    """Axes permuted, then flipped.

    Attributes:
        source: the grid before.
        axes: new axis ``i`` is the old axis ``axes[i]``.
        flips: whether new axis ``i`` runs backwards.
    """

    source: Grid
    axes: tuple[int, ...]
    flips: tuple[bool, ...]

    @property
    def target(self) -> Grid:
        """The grid after."""
        return self.source.reorient(self.axes, self.flips)


@dataclass(frozen=True)
class Crop:
    """A box cut out: ``array[start:stop]`` per axis.

    Attributes:
        source: the grid before.
        start, stop: voxel indices in it.
    """

    source: Grid
    start: tuple[int, ...]
    stop: tuple[int, ...]

    @property
    def target(self) -> Grid:
        """The grid after."""
        return self.source.crop(self.start, self.stop)


@dataclass(frozen=True)
class Normalise:
    """Intensities scaled; leaves the geometry alone.

    Attributes:
        channels: per channel, with the mean and std that were used on this case.
    """

    channels: tuple[Normalisation, ...]


@dataclass(frozen=True)
class Resample:
    """The same box filled with another number of voxels.

    Attributes:
        source: the grid before.
        shape: voxels per axis after.
        coarse_axis: the axis that is resampled by nearest neighbour, or ``None``.
    """

    source: Grid
    shape: tuple[int, ...]
    coarse_axis: int | None = None

    @property
    def target(self) -> Grid:
        """The grid after."""
        return self.source.resample(self.shape)

    def orders(self, order: int) -> tuple[int, ...]:
        """Give the interpolation order per axis: ``order``, but 0 along the coarse axis."""
        return tuple(0 if axis == self.coarse_axis else order for axis in range(len(self.shape)))


Step = Reorient | Crop | Normalise | Resample


def reorient(array: Array, step: Reorient) -> Array:
    """Permute and flip the trailing axes of ``(…, *source)``; a view where that is possible."""
    return _flip(_transpose(array, step.axes), step.flips)


def undo_reorient(array: Array, step: Reorient) -> Array:
    """Bring ``(…, *target)`` back to the axes of the source."""
    return _transpose(_flip(array, step.flips), tuple(np.argsort(step.axes)))


def crop(array: Array, step: Crop) -> Array:
    """Cut the box out of ``(…, *source)``; a view."""
    return array[_box(step)]  # type: ignore[index]


def undo_crop(array: Array, step: Crop, *, fill: float = 0) -> Array:
    """Put ``(…, *box)`` back into its place in an array ``(…, *source)`` filled with ``fill``."""
    n = len(step.start)
    shape = (*array.shape[:-n], *step.source.shape)  # type: ignore[attr-defined]
    if isinstance(array, np.ndarray):
        out: Any = np.full(shape, fill, dtype=array.dtype)
    else:
        out = array.new_full(shape, fill)  # type: ignore[attr-defined]
    out[_box(step)] = array
    return out


def invert_index_array(record: Sequence[Step], index: Array) -> Array:
    """Bring a label array ``(*S)`` on the prepared grid back to the source's grid.

    Resampled axes take the nearest voxel and what was cropped away is background, so no value
    appears that was not there.
    """
    for step in reversed(record):
        if isinstance(step, Resample):
            index = resample_channel(index, step.source.shape, order=0)
        elif isinstance(step, Crop):
            index = undo_crop(index, step)
        elif isinstance(step, Reorient):
            index = undo_reorient(index, step)
    return index


def record_to_dict(record: Iterable[Step]) -> list[dict[str, Any]]:
    """Return plain containers for JSON."""
    return [_step_to_dict(step) for step in record]


def record_from_dict(states: Iterable[Mapping[str, Any]]) -> tuple[Step, ...]:
    """Rebuild from `record_to_dict`."""
    return tuple(_step_from_dict(state) for state in states)


def _step_to_dict(step: Step) -> dict[str, Any]:
    if isinstance(step, Normalise):
        return {"step": "normalise", "channels": [asdict(c) for c in step.channels]}
    state: dict[str, Any] = {"step": type(step).__name__.lower(), "source": step.source.to_dict()}
    if isinstance(step, Reorient):
        return {**state, "axes": list(step.axes), "flips": list(step.flips)}
    if isinstance(step, Crop):
        return {**state, "start": list(step.start), "stop": list(step.stop)}
    return {**state, "shape": list(step.shape), "coarse_axis": step.coarse_axis}


def _step_from_dict(state: Mapping[str, Any]) -> Step:
    kind = state["step"]
    if kind == "normalise":
        return Normalise(tuple(Normalisation(**c) for c in state["channels"]))
    source = Grid.from_dict(state["source"])
    if kind == "reorient":
        return Reorient(source, tuple(state["axes"]), tuple(state["flips"]))
    if kind == "crop":
        return Crop(source, tuple(state["start"]), tuple(state["stop"]))
    if kind == "resample":
        return Resample(source, tuple(state["shape"]), state["coarse_axis"])
    raise ValueError(f"unknown preprocessing step {kind!r}")


def _box(step: Crop) -> tuple:
    return (..., *(slice(a, b) for a, b in zip(step.start, step.stop, strict=True)))


def _transpose(array: Any, axes: Sequence[int]) -> Any:
    lead = array.ndim - len(axes)
    order = (*range(lead), *(lead + int(axis) for axis in axes))
    return array.transpose(order) if isinstance(array, np.ndarray) else array.permute(order)


def _flip(array: Any, flips: Sequence[bool]) -> Any:
    flagged = tuple(i - len(flips) for i, flip in enumerate(flips) if flip)
    if not flagged:
        return array
    return np.flip(array, flagged) if isinstance(array, np.ndarray) else array.flip(flagged)
