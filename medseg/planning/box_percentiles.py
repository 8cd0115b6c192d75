"""What counts as a small and as a large box, where classes differ in size and in number."""

from __future__ import annotations

import numpy as np

# Percentiles of sizes that stand for the small boxes and for the large ones.
SMALL, LARGE = 10, 90


def small_boxes(sizes: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the extents ``(n,)`` of small boxes ``(N, n)``, of that class where they are least.

    Over all classes together a rare small one, such as platelets among red cells, would not count.
    """
    return np.min([np.percentile(sizes[classes == k], SMALL, axis=0) for k in _there(classes)], 0)


def large_boxes(sizes: np.ndarray, classes: np.ndarray) -> float:
    """Return the geometric mean extent of large boxes ``(N, n)``, of the largest class."""
    mean = np.prod(sizes, axis=1) ** (1 / sizes.shape[1])
    return max(float(np.percentile(mean[classes == k], LARGE)) for k in _there(classes))


def _there(classes: np.ndarray) -> np.ndarray:
    return np.unique(classes)
