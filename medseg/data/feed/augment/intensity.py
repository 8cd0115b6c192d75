"""Brightness, contrast, gamma and noise; each works channel by channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from medseg.data.feed.augment.draws import factors, interval, probability
from medseg.data.feed.augment.transform import IntensityTransform


class Brightness(IntensityTransform[np.ndarray]):
    """Multiply: ``x · f``, with a factor for each channel.

    Args:
        p: probability that a sample is changed.
        factor: range of ``f``.
    """

    def __init__(self, *, p: float = 0.15, factor: Sequence[float] = (0.75, 1.25)) -> None:
        self.p = probability("p", p)
        self.factor = interval("factor", factor, positive=True)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray | None:
        """Draw the factors ``(C,)``."""
        return factors(rng, self.factor, shape[0]) if rng.random() < self.p else None

    def apply_one(self, image: Tensor, params: np.ndarray) -> Tensor:
        """Scale an image ``(C, *S)``."""
        return image * _per_channel(params, image)


class Contrast(IntensityTransform[np.ndarray]):
    """Spread about the mean: ``(x - mean) · f + mean``, kept inside the former extremes.

    Args:
        p: probability that a sample is changed.
        factor: range of ``f``.
    """

    def __init__(self, *, p: float = 0.15, factor: Sequence[float] = (0.75, 1.25)) -> None:
        self.p = probability("p", p)
        self.factor = interval("factor", factor, positive=True)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray | None:
        """Draw the factors ``(C,)``."""
        return factors(rng, self.factor, shape[0]) if rng.random() < self.p else None

    def apply_one(self, image: Tensor, params: np.ndarray) -> Tensor:
        """Spread an image ``(C, *S)``."""
        axes = _spatial(image)
        mean = image.mean(axes, keepdim=True)
        low, high = image.amin(axes, keepdim=True), image.amax(axes, keepdim=True)
        return torch.clamp((image - mean) * _per_channel(params, image) + mean, low, high)


class Gamma(IntensityTransform[np.ndarray]):
    """Bend the grey scale: ``x -> min + range · ((x - min) / range) ** γ``.

    Args:
        p: probability that a sample is changed.
        gamma: range of ``γ``, drawn for each channel.
        invert: bend ``-x`` instead, which spreads the other end of the scale.
        keep_statistics: bring mean and standard deviation back to what they were.
    """

    def __init__(
        self,
        *,
        p: float = 0.3,
        gamma: Sequence[float] = (0.7, 1.5),
        invert: bool = False,
        keep_statistics: bool = True,
    ) -> None:
        self.p = probability("p", p)
        self.gamma = interval("gamma", gamma, positive=True)
        self.invert = bool(invert)
        self.keep_statistics = bool(keep_statistics)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray | None:
        """Draw ``γ`` ``(C,)``."""
        return factors(rng, self.gamma, shape[0]) if rng.random() < self.p else None

    def apply_one(self, image: Tensor, params: np.ndarray) -> Tensor:
        """Bend an image ``(C, *S)``; a constant channel stays as it is."""
        axes = _spatial(image)
        source = -image if self.invert else image
        low = source.amin(axes, keepdim=True)
        span = (source.amax(axes, keepdim=True) - low).clamp_min(1e-7)
        bent = ((source - low) / span) ** _per_channel(params, image) * span + low
        if self.keep_statistics:
            std, mean = torch.std_mean(source, axes, correction=0, keepdim=True)
            new_std, new_mean = torch.std_mean(bent, axes, correction=0, keepdim=True)
            bent = (bent - new_mean) * (std / new_std.clamp_min(1e-7)) + mean
        return -bent if self.invert else bent


class NoiseParams(NamedTuple):
    """Standard deviation of the noise, and the seed that its values follow from."""

    std: float
    seed: int


class GaussianNoise(IntensityTransform[NoiseParams]):
    """Add independent normal noise to every voxel.

    The values follow from the seed on a given kind of device; a GPU draws others than a CPU.

    Args:
        p: probability that a sample is changed.
        std: range of the standard deviation, in the units of the normalised image.
    """

    def __init__(self, *, p: float = 0.1, std: Sequence[float] = (0.0, 0.1)) -> None:
        self.p = probability("p", p)
        self.std = interval("std", std)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> NoiseParams | None:
        """Draw strength and seed."""
        if rng.random() >= self.p:
            return None
        return NoiseParams(float(rng.uniform(*self.std)), int(rng.integers(2**63)))

    def apply_one(self, image: Tensor, params: NoiseParams) -> Tensor:
        """Add noise to an image ``(C, *S)``."""
        generator = torch.Generator(image.device).manual_seed(params.seed)
        noise = torch.randn(
            image.shape, generator=generator, device=image.device, dtype=image.dtype
        )
        return torch.add(image, noise, alpha=params.std)


def _spatial(image: Tensor) -> list[int]:
    return list(range(1, image.ndim))


def _per_channel(values: np.ndarray, image: Tensor) -> Tensor:
    column = torch.tensor(values, dtype=image.dtype, device=image.device)
    return column.view(-1, *[1] * (image.ndim - 1))
