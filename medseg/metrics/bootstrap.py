"""How far a score would vary with other cases: intervals by resampling them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Resamplings that are worked out at once: a bound on memory.
_AT_ONCE = 100


@dataclass(frozen=True, eq=False)
class Interval:
    """Percentile interval of one or more statistics.

    Attributes:
        low, high: float64, of the statistic's shape; NaN where nothing can be said.
        undefined: how many resamplings had no value and were left out, of the same shape.
    """

    low: np.ndarray
    high: np.ndarray
    undefined: np.ndarray


def case_weights(n_cases: int, *, resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """Return how often each case is drawn ``(resamples, n_cases)``, with replacement."""
    if not n_cases:
        return np.zeros((resamples, 0), dtype=np.int64)
    share = np.full(n_cases, 1 / n_cases)
    return np.random.default_rng(seed).multinomial(n_cases, share, size=resamples)


def bootstrap_interval(
    statistic: Callable[[np.ndarray], np.ndarray],
    n_cases: int,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return the percentile interval of a statistic over cases (Efron, Annals of Statistics 1979).

    Whole cases are drawn: boxes of one image are not independent. LUNA16 does the same, 1,000
    times.

    Args:
        statistic: takes how often each case counts, ``(B, n_cases)``, and returns ``(B, …)``; NaN
            where it is undefined, as without any object.
        n_cases: below two there is nothing to draw, and the interval is NaN.
        confidence: of the interval, in (0, 1).
        resamples: how often to draw.
        seed: the same seed gives the same interval.
    """
    weights = case_weights(n_cases, resamples=resamples, seed=seed)
    parts = [statistic(weights[at : at + _AT_ONCE]) for at in range(0, resamples, _AT_ONCE)]
    values = np.concatenate(parts).astype(np.float64)
    undefined = np.isnan(values).sum(axis=0)
    bounds = np.full((2, *values.shape[1:]), np.nan)
    known = undefined < resamples
    if n_cases >= 2 and known.any():
        tails = ((1 - confidence) / 2, (1 + confidence) / 2)
        bounds[:, known] = np.nanquantile(values[:, known], tails, axis=0)
    return Interval(bounds[0], bounds[1], undefined)
