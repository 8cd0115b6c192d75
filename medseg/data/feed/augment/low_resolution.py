"""A scan of lower resolution, brought back to the grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from medseg.data.feed.augment.draws import interval, probability, some_channels
from medseg.data.feed.augment.separable import interpolate
from medseg.data.feed.augment.transform import IntensityTransform


class LowResolution(IntensityTransform[dict[int, float]]):
    """Drop voxels (nearest), then interpolate linearly back to the former size.

    Args:
        p: probability that a sample is changed.
        zoom: range of the remaining resolution, as a part of the present one.
        p_channel: probability of each channel of such a sample.
        axes: the spatial axes that lose resolution; ``None``: all.
    """

    def __init__(
        self,
        *,
        p: float = 0.25,
        zoom: Sequence[float] = (0.5, 1.0),
        p_channel: float = 0.5,
        axes: Sequence[int] | None = None,
    ) -> None:
        self.p = probability("p", p)
        self.zoom = interval("zoom", zoom, positive=True)
        self.p_channel = probability("p_channel", p_channel)
        self.axes = None if axes is None else tuple(int(a) for a in axes)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> dict[int, float] | None:
        """Draw the channels and their zooms."""
        if rng.random() >= self.p:
            return None
        channels = some_channels(rng, shape[0], self.p_channel)
        return {c: float(rng.uniform(*self.zoom)) for c in channels} or None

    def change(self, image: Tensor, params: dict[int, float]) -> None:
        """Coarsen the chosen channels of an image ``(C, *S)`` in place."""
        for number, zoom in params.items():
            image[number].copy_(coarsen(image[number], zoom, self.axes))


def coarsen(image: Tensor, zoom: float, axes: Sequence[int] | None = None) -> Tensor:
    """Take the nearest voxels of a coarser grid, and interpolate them linearly back.

    The same as `torch.nn.functional.interpolate` with ``nearest-exact`` and then ``trilinear``,
    one axis after the other: faster on a CPU.

    Args:
        image: ``(*S)``.
        zoom: the part of the voxels per axis that remains.
        axes: which ones; ``None``: all.
    """
    shape = image.shape
    sizes = {a: max(1, round(n * zoom)) for a, n in enumerate(shape) if axes is None or a in axes}
    for axis, size in sizes.items():
        kept = _ramp(size, image).add_(0.5).mul_(shape[axis] / size).to(torch.int64)
        image = image.index_select(axis, kept)
    # The last axis first: it is the dearest, and the others are still short.
    for axis in sorted(sizes, reverse=True):
        ratio = sizes[axis] / shape[axis]
        places = _ramp(shape[axis], image).add_(0.5).mul_(ratio).sub_(0.5)
        image = interpolate(image, axis, places, outside="edge")
    return image


def _ramp(size: int, like: Tensor) -> Tensor:
    return torch.arange(size, device=like.device, dtype=torch.float32)
