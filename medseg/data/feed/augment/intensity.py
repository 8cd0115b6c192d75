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

    def change(self, image: Tensor, params: np.ndarray) -> None:
        """Scale an image ``(C, *S)`` in place."""
        for channel, factor in zip(image, params.tolist(), strict=True):
            channel.mul_(factor)


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

    def change(self, image: Tensor, params: np.ndarray) -> None:
        """Spread an image ``(C, *S)`` in place."""
        for channel, factor in zip(image, params.tolist(), strict=True):
            mean = channel.mean()
            low, high = torch.aminmax(channel)
            channel.mul_(factor).add_(mean * (1 - factor)).clamp_(low, high)


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

    def change(self, image: Tensor, params: np.ndarray) -> None:
        """Bend an image ``(C, *S)`` in place; a constant channel stays as it is."""
        for channel, gamma in zip(image, params.tolist(), strict=True):
            low, high = torch.aminmax(channel)
            span = (high - low).clamp_min_(1e-7)
            if self.keep_statistics:
                mean = channel.mean()
                spread = _spread(channel, mean)
            # From 0 at the end that is kept dark to 1 at the other.
            if self.invert:
                channel.sub_(high).mul_(-1 / span)
            else:
                channel.sub_(low).mul_(1 / span)
            # Rounding may leave the unit interval by a hair, where a power is no number.
            _raise(channel.clamp_(0, 1), gamma)
            sign = -1 if self.invert else 1
            if self.keep_statistics:
                bent = channel.mean()
                factor = spread / _spread(channel, bent).clamp_min_(1e-7)
                channel.sub_(bent).mul_(factor * sign).add_(mean)
            else:
                channel.mul_(span * sign).add_(high if self.invert else low)


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

    def change(self, image: Tensor, params: NoiseParams) -> None:
        """Add noise to an image ``(C, *S)`` in place."""
        generator = torch.Generator(image.device).manual_seed(params.seed)
        noise = torch.randn(
            image.shape, generator=generator, device=image.device, dtype=image.dtype
        )
        image.add_(noise, alpha=params.std)


def _spread(channel: Tensor, mean: Tensor) -> Tensor:
    """Give the standard deviation; `torch.std` takes ten times as long on a CPU."""
    return (channel - mean).square_().mean().sqrt_()


def _raise(channel: Tensor, power: float) -> None:
    """Raise values of 0 … 1 to a power in place; NumPy's logarithm makes it twice as fast."""
    if channel.device.type != "cpu":
        channel.pow_(power)
        return
    values = channel.numpy()
    with np.errstate(divide="ignore"):
        np.log(values, out=values)
    values *= power
    np.exp(values, out=values)
