"""Random draws that several transforms share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from medseg.errors import InputError


def interval(name: str, value: Sequence[float], *, positive: bool = False) -> tuple[float, float]:
    """Check a range ``(low, high)``.

    Raises:
        InputError: it is not two ascending numbers (above zero where ``positive``).
    """
    numbers = [float(v) for v in value] if isinstance(value, Sequence) else []
    if len(numbers) != 2 or not numbers[0] <= numbers[1] or (positive and numbers[0] <= 0):
        above = ", both above 0" if positive else ""
        raise InputError(
            f"{name} must be a range", expected=f"[low, high]{above}", found=repr(value)
        )
    return numbers[0], numbers[1]


def probability(name: str, value: float) -> float:
    """Check a probability.

    Raises:
        InputError: it is outside 0 … 1.
    """
    if not 0 <= value <= 1:
        raise InputError(f"{name} must be a probability", expected="0 … 1", found=repr(value))
    return float(value)


def factors(rng: np.random.Generator, bounds: tuple[float, float], count: int) -> np.ndarray:
    """Draw factors ``(count,)`` log-uniformly: doubling is as likely as halving."""
    return np.exp(rng.uniform(math.log(bounds[0]), math.log(bounds[1]), count))


def some_channels(rng: np.random.Generator, count: int, p: float) -> tuple[int, ...]:
    """Draw each of ``count`` channels with probability ``p``."""
    return tuple(int(c) for c in np.flatnonzero(rng.random(count) < p))
