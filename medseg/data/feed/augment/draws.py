"""Random draws that several transforms share."""

from __future__ import annotations

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
    """Draw factors ``(count,)``: as often below 1 as above, evenly on either side.

    Where the bounds lie on one side of 1, evenly between them. nnU-Net's rule.
    """
    low, high = bounds
    if not low < 1 < high:
        return rng.uniform(low, high, count)
    below = rng.random(count) < 0.5
    return np.where(below, rng.uniform(low, 1, count), rng.uniform(1, high, count))


def some_channels(rng: np.random.Generator, count: int, p: float) -> tuple[int, ...]:
    """Draw each of ``count`` channels with probability ``p``."""
    return tuple(int(c) for c in np.flatnonzero(rng.random(count) < p))


def check_axes(
    name: str, ndim: int, *, axes: Sequence[int] | None, spacing: Sequence[float] | None
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Fill in all axes and 1 mm where ``None``.

    Raises:
        InputError: they do not fit an image of ``ndim`` spatial axes.
    """
    all_axes = tuple(range(ndim)) if axes is None else tuple(axes)
    every = (1.0,) * ndim if spacing is None else tuple(spacing)
    if len(every) != ndim or any(not 0 <= a < ndim for a in all_axes):
        raise InputError(
            f"{name}: spacing or axes do not fit the image",
            expected=f"{ndim} spatial axes",
            found=f"spacing {spacing}, axes {axes}",
        )
    return all_axes, every
