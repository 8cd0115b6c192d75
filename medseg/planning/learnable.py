"""Whether a patch shows enough of objects for them to be learnt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def visible_parts(sizes: np.ndarray, patch_size: Sequence[int]) -> np.ndarray:
    """Give the part of each box that a patch shows at most, wherever it lies ``(N,)``.

    Args:
        sizes: of the boxes in voxels ``(N, n)``.
        patch_size: voxels per axis.
    """
    return np.minimum(1.0, np.asarray(patch_size) / np.asarray(sizes, dtype=np.float64)).prod(
        axis=1
    )
