"""The spacing that all images are brought to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from medseg.errors import InputError

# Beyond this factor between the coarsest axis and the next an image counts as anisotropic.
ANISOTROPY = 3.0

# A wrong spacing asks for more than any real scan: 512 x 512 x 1000 is 262 million.
_MOST_VOXELS = 600_000_000
_MOST_GROWTH = 50
NOT_ABSURD = f"at most {_MOST_VOXELS:,} voxels, or {_MOST_GROWTH} times the image's own"


def target_spacing(
    spacings: Sequence[Sequence[float]], shapes: Sequence[Sequence[int]]
) -> tuple[tuple[float, ...], str]:
    """Return the spacing to resample to, and why.

    The median per axis. A volume's coarsest axis takes the 10th percentile if its median is more
    than 3× the next coarsest **and** 3× its median voxel count is below the others': thick slices
    then lose less, at the price of interpolation in the thickest. It never gets finer than the
    other axes (nnU-Net v2, which leaves it 0.00001 mm coarser).

    Args:
        spacings: per case, mm per axis.
        shapes: per case, voxels per axis.
    """
    spacing = [median(axis) for axis in zip(*spacings, strict=True)]
    shape = [median(axis) for axis in zip(*shapes, strict=True)]
    reason = f"median of {len(spacings)} cases"
    if len(spacing) == 3:
        worst = max(range(3), key=spacing.__getitem__)
        others = [axis for axis in range(3) if axis != worst]
        next_coarsest = max(spacing[axis] for axis in others)
        if spacing[worst] > ANISOTROPY * next_coarsest and shape[worst] * ANISOTROPY < min(
            shape[axis] for axis in others
        ):
            fine = percentile([case[worst] for case in spacings], 10)
            reason += (
                f"; axis {worst} is anisotropic: 10th percentile instead of {spacing[worst]:g}"
            )
            spacing[worst] = max(fine, next_coarsest)
    # Affines are often float32: 0.9999999776 means 1.
    return tuple(round(float(s), 6) for s in spacing), reason


def median_shape(
    spacings: Sequence[Sequence[float]],
    shapes: Sequence[Sequence[int]],
    target: Sequence[float],
) -> tuple[float, ...]:
    """Return the median number of voxels per axis once all cases have the ``target`` spacing.

    Between two cases a median may end in a half.
    """
    resampled = [
        # In this order of the factors: nnU-Net's halves round the same way.
        [max(1, round(old / new * n)) for n, old, new in zip(shape, spacing, target, strict=True)]
        for shape, spacing in zip(shapes, spacings, strict=True)
    ]
    return tuple(median(axis) for axis in zip(*resampled, strict=True))


def absurd(shape: Sequence[float], resampled: Sequence[float]) -> bool:
    """Tell a shape that no real scan is resampled to."""
    return math.prod(resampled) > max(_MOST_VOXELS, _MOST_GROWTH * math.prod(shape))


def check_given(
    spacings: Sequence[Sequence[float]],
    shapes: Sequence[Sequence[int]],
    given: Sequence[float],
) -> None:
    """Refuse a spacing at which the median image would be a single voxel along an axis, or vast.

    Raises:
        InputError: saying how large it would be.
    """
    shape = tuple(median(axis) for axis in zip(*shapes, strict=True))
    resampled = median_shape(spacings, shapes, given)
    vanished = any(n > 1 and new <= 1 for n, new in zip(shape, resampled, strict=True))
    if not vanished and not absurd(shape, resampled):
        return
    spacing = [round(median(axis), 3) for axis in zip(*spacings, strict=True)]
    raise InputError(
        f"plan.spacing: the images would be too {'coarse' if vanished else 'large'}",
        expected="more than one voxel along each axis" if vanished else NOT_ABSURD,
        found=f"{list(given)} mm: the median image has {[round(n) for n in resampled]} voxels",
        remedy=f"millimetres near those of the images: {spacing}",
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile with linear interpolation."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100.0
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
