"""Statistics of paired values: two methods, measured on the same cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Paired:
    """How values ``b`` differ from values ``a``, pair by pair.

    Attributes:
        n: pairs.
        mean_a, mean_b: means; NaN without a pair.
        difference: mean of ``b - a``; NaN without a pair.
        interval: bootstrap interval of that mean; NaN below two pairs.
        n_higher, n_lower, n_equal: pairs in which ``b`` is above, below, or the same.
        p_wilcoxon: two-sided signed-rank test that differences lie symmetrically about 0; pairs
            without a difference are left out, and if none has one it is 1.
        p_sign: two-sided sign test that ``b`` is above as often as below; it asks nothing of the
            differences' distribution, and ties among them do not matter to it.
    """

    n: int
    mean_a: float
    mean_b: float
    difference: float
    interval: tuple[float, float]
    n_higher: int
    n_lower: int
    n_equal: int
    p_wilcoxon: float
    p_sign: float


def compare_paired(
    a: Sequence[float],
    b: Sequence[float],
    *,
    confidence: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
) -> Paired:
    """Compare two equally long lists of finite values.

    The interval is SciPy's bias-corrected and accelerated bootstrap of the mean difference (B.
    Efron, "Better bootstrap confidence intervals", JASA 82, 1987), the test its signed-rank test
    (F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1, 1945): exact
    for few pairs, else by the normal approximation.

    Args:
        a: values of the first method, one per case.
        b: values of the second, in the same order.
        confidence: of the interval, in (0, 1).
        resamples: of the bootstrap.
        seed: of the bootstrap; the same seed gives the same interval.

    Raises:
        ValueError: the lists differ in length or hold a value that is not finite.
    """
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"expected two lists of one length, not {first.shape} and {second.shape}")
    difference = second - first
    if not np.isfinite(difference).all():
        raise ValueError("paired values must be finite")
    higher, lower = int((difference > 0).sum()), int((difference < 0).sum())
    n = len(difference)
    return Paired(
        n=n,
        mean_a=float(first.mean()) if n else math.nan,
        mean_b=float(second.mean()) if n else math.nan,
        difference=float(difference.mean()) if n else math.nan,
        interval=_interval(difference, confidence, resamples, seed),
        n_higher=higher,
        n_lower=lower,
        n_equal=n - higher - lower,
        p_wilcoxon=_wilcoxon(difference),
        p_sign=_sign(higher, lower),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values of several tests so that the chance of any false alarm stays the level.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6, 1979.
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.maximum.accumulate(np.asarray(p_values, dtype=float)[order] * factors)
    return np.minimum(adjusted, 1.0).tolist()


def _interval(
    difference: np.ndarray, confidence: float, resamples: int, seed: int
) -> tuple[float, float]:
    if len(difference) < 2:
        return math.nan, math.nan
    if np.ptp(difference) == 0:
        return float(difference[0]), float(difference[0])
    from scipy.stats import bootstrap

    found = bootstrap(
        (difference,),
        np.mean,
        n_resamples=resamples,
        confidence_level=confidence,
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def _wilcoxon(difference: np.ndarray) -> float:
    if not difference.any():
        return 1.0
    from scipy.stats import wilcoxon

    return float(wilcoxon(difference[difference != 0]).pvalue)


def _sign(higher: int, lower: int) -> float:
    if not higher + lower:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(higher, higher + lower).pvalue)
