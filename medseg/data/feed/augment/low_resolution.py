"""A scan of lower resolution, brought back to the grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from medseg.data.feed.augment.draws import interval, probability, some_channels
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

    def apply_one(self, image: Tensor, params: dict[int, float]) -> Tensor:
        """Coarsen the chosen channels of an image ``(C, *S)``."""
        shape = tuple(image.shape[1:])
        axes = range(len(shape)) if self.axes is None else self.axes
        mode = "bilinear" if len(shape) == 2 else "trilinear"
        channels = []
        for number, channel in enumerate(image):
            if number in params:
                zoom = params[number]
                small = [max(1, round(n * zoom)) if a in axes else n for a, n in enumerate(shape)]
                coarse = F.interpolate(channel[None, None], size=small, mode="nearest-exact")
                channel = F.interpolate(coarse, size=shape, mode=mode)[0, 0]
            channels.append(channel)
        return torch.stack(channels)
