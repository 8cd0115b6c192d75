"""The mean of scores of which some are not known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def known_mean(scores: np.ndarray | Sequence[float], *, axis: int = 0) -> np.ndarray:
    """Average over what is not NaN, as a class without objects is; NaN where nothing is known."""
    scores = np.asarray(scores, dtype=np.float64)
    known = ~np.isnan(scores)
    count = known.sum(axis=axis)
    total = np.where(known, scores, 0).sum(axis=axis)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
