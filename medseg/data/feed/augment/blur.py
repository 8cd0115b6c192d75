"""Gaussian blur."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from medseg.data.feed.augment.draws import interval, probability, some_channels
from medseg.data.feed.augment.transform import IntensityTransform


class GaussianBlur(IntensityTransform[dict[int, float]]):
    """Blur some of the channels, each with a width of its own.

    Args:
        p: probability that a sample is changed.
        sigma: range of the standard deviation in voxels.
        p_channel: probability of each channel of such a sample.
    """

    def __init__(
        self, *, p: float = 0.2, sigma: Sequence[float] = (0.5, 1.0), p_channel: float = 0.5
    ) -> None:
        self.p = probability("p", p)
        self.sigma = interval("sigma", sigma, positive=True)
        self.p_channel = probability("p_channel", p_channel)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> dict[int, float] | None:
        """Draw the channels and their widths."""
        if rng.random() >= self.p:
            return None
        channels = some_channels(rng, shape[0], self.p_channel)
        return {c: float(rng.uniform(*self.sigma)) for c in channels} or None

    def apply_one(self, image: Tensor, params: dict[int, float]) -> Tensor:
        """Blur the chosen channels of an image ``(C, *S)``."""
        return torch.stack([blur(x, params[c]) if c in params else x for c, x in enumerate(image)])


def blur(image: Tensor, sigma: float) -> Tensor:
    """Convolve ``(*S)`` with a Gaussian cut off at 4 sigma, edges repeated.

    The same as ``scipy.ndimage.gaussian_filter(mode="nearest")``. Written as shifted sums: on a
    single channel these are faster than a convolution, on a CPU by far.
    """
    radius = int(4 * sigma + 0.5)
    if radius == 0:
        return image
    weights = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    weights = (weights / (2 * weights.sum() - weights[0])).tolist()
    for axis, n in enumerate(image.shape):
        wide = _repeat_edges(image, axis, radius)
        total = wide.narrow(axis, radius, n) * weights[0]
        for offset in range(1, radius + 1):
            pair = wide.narrow(axis, radius - offset, n) + wide.narrow(axis, radius + offset, n)
            total = total.add_(pair, alpha=weights[offset])
        image = total
    return image


def _repeat_edges(image: Tensor, axis: int, width: int) -> Tensor:
    shape = list(image.shape)
    shape[axis] = width
    first = image.narrow(axis, 0, 1).expand(shape)
    last = image.narrow(axis, image.shape[axis] - 1, 1).expand(shape)
    return torch.cat([first, image, last], dim=axis)
