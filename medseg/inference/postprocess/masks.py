"""What a step does to one binary mask ``(*S)`` of 2 or 3 axes.

Voxels that touch by a face, an edge or a corner are of one component (8 neighbours in 2D, 26 in
3D), as nnU-Net counts them. A hole is background that no path over faces leads out of (4 and 6
neighbours), which is what SciPy fills: of object and background only one may go around corners.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def box_of(mask: np.ndarray) -> tuple[slice, ...] | None:
    """Give the smallest box that holds a bool mask ``(*S)``; ``None``: it is empty."""
    from scipy import ndimage

    return ndimage.find_objects(mask.view(np.uint8), 1)[0] if mask.any() else None


def components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the components of a mask from 1 on: their numbers ``(*S)``, and voxels of each."""
    from scipy import ndimage

    numbers, _ = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    return numbers, np.bincount(numbers.ravel())[1:]


def largest_component(mask: np.ndarray) -> np.ndarray:
    """Keep the component of most voxels; of equally large ones the first in memory order."""
    numbers, sizes = components(mask)
    return mask if len(sizes) < 2 else numbers == 1 + int(np.argmax(sizes))


def remove_small(mask: np.ndarray, *, min_size: float, spacing: Sequence[float]) -> np.ndarray:
    """Keep the components of ``min_size`` and above.

    Args:
        mask: bool ``(*S)``.
        min_size: in mm³, of a 2D mask in mm².
        spacing: mm per axis.
    """
    numbers, sizes = components(mask)
    # A grain of slack: a size that is a whole number of voxels keeps what has just as many.
    large = sizes + 1e-6 >= min_size / math.prod(spacing)
    return mask if large.all() else np.concatenate([[False], large])[numbers]


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """Fill what the mask encloses on all sides; in 3D a tunnel stays open."""
    from scipy import ndimage

    return ndimage.binary_fill_holes(mask)
