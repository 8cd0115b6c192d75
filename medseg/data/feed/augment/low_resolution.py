"""A scan of lower resolution, brought back to the grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from medseg.data.feed.augment.draws import interval, probability, some_channels
from medseg.data.feed.augment.separable import stretch
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
            coarsen(image[number], zoom, self.axes)


def coarsen(image: Tensor, zoom: float, axes: Sequence[int] | None = None) -> None:
    """Take the nearest voxels of a coarser grid, and interpolate them linearly back, in place.

    The same as `torch.nn.functional.interpolate` with ``nearest-exact`` and then ``trilinear``.

    Args:
        image: ``(*S)``.
        zoom: the part of the voxels per axis that remains.
        axes: which ones; ``None``: all.
    """
    sizes = [
        max(1, round(n * zoom)) if axes is None or a in axes else n
        for a, n in enumerate(image.shape)
    ]
    coarse = F.interpolate(image[None, None], size=sizes, mode="nearest-exact")
    if image.ndim == 3 and image.device.type == "cpu":
        places = [
            (np.arange(n) + 0.5) * (size / n) - 0.5
            for n, size in zip(image.shape, sizes, strict=True)
        ]
        stretch(coarse[0], places, image[None], padding="border")
        return
    mode = "bilinear" if image.ndim == 2 else "trilinear"
    image.copy_(F.interpolate(coarse, size=image.shape, mode=mode)[0, 0])
