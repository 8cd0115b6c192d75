"""Gaussian blur."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from medseg.data.feed.augment.draws import interval, probability, some_channels
from medseg.data.feed.augment.transform import IntensityTransform
from medseg.data.feed.augment.warp import slab_rows


class GaussianBlur(IntensityTransform[dict[int, tuple[float, ...]]]):
    """Blur some of the channels, each axis of each with a width of its own.

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

    def draw(
        self, rng: np.random.Generator, shape: Sequence[int]
    ) -> dict[int, tuple[float, ...]] | None:
        """Draw the channels and their widths."""
        if rng.random() >= self.p:
            return None
        channels = some_channels(rng, shape[0], self.p_channel)
        widths = rng.uniform(*self.sigma, (len(channels), len(shape) - 1))
        return {c: tuple(w) for c, w in zip(channels, widths.tolist(), strict=True)} or None

    def change(self, image: Tensor, params: dict[int, tuple[float, ...]]) -> None:
        """Blur the chosen channels of an image ``(C, *S)`` in place."""
        for number, sigma in params.items():
            image[number].copy_(blur(image[number], sigma))


def blur(image: Tensor, sigma: Sequence[float]) -> Tensor:
    """Convolve ``(*S)`` with a Gaussian cut off at 3 sigma as nnU-Net's, edges repeated.

    The same as ``scipy.ndimage.gaussian_filter(mode="nearest", truncate=3)``. Written as shifted
    sums: on a single channel these are faster than a convolution, on a CPU by far. Slab by slab, so
    that they stay in its cache.

    Args:
        image: ``(*S)``.
        sigma: standard deviation per axis, in voxels.
    """
    bells = [_bell(width) for width in sigma]
    radius = len(bells[0]) - 1
    wide = _repeat_edges(image, 0, radius)
    result = torch.empty_like(image)
    rows = slab_rows(image.shape, image.device)
    for first in range(0, len(image), rows):
        part = result[first : first + rows]
        part.copy_(_weigh(wide[first : first + len(part) + 2 * radius], 0, bells[0]))
        for axis in range(1, image.ndim):
            edged = _repeat_edges(part, axis, len(bells[axis]) - 1)
            part.copy_(_weigh(edged, axis, bells[axis]))
    return result


def _bell(sigma: float) -> list[float]:
    """Give the weights at distance 0, 1, … of a Gaussian whose weights on both sides sum to 1."""
    bell = np.exp(-0.5 * (np.arange(int(3 * sigma + 0.5) + 1) / sigma) ** 2)
    return (bell / (2 * bell.sum() - bell[0])).tolist()


def _weigh(wide: Tensor, axis: int, weights: Sequence[float]) -> Tensor:
    """Sum shifted copies of an array that is ``radius`` longer on both ends of an axis."""
    radius = len(weights) - 1
    n = wide.shape[axis] - 2 * radius
    total = wide.narrow(axis, radius, n) * weights[0]
    pair = torch.empty_like(total)
    for offset in range(1, radius + 1):
        low, high = wide.narrow(axis, radius - offset, n), wide.narrow(axis, radius + offset, n)
        torch.add(low, high, out=pair)
        total.add_(pair, alpha=weights[offset])
    return total


def _repeat_edges(image: Tensor, axis: int, width: int) -> Tensor:
    shape = list(image.shape)
    shape[axis] = width
    first = image.narrow(axis, 0, 1).expand(shape)
    last = image.narrow(axis, image.shape[axis] - 1, 1).expand(shape)
    return torch.cat([first, image, last], dim=axis)
