"""The low-resolution stage: large volumes once more, so coarse that a patch shows much of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from medseg.planning.network import NetworkPlan

# The stage exists if a full-resolution patch shows less of the median case than this.
COVERED = 0.25
GROWTH = 1.03
# Below this ratio of voxels the stage would say nothing new.
FEWER = 2.0


@dataclass(frozen=True)
class LowResolution:
    """The planned stage.

    Attributes:
        spacing: mm per axis.
        median_shape: voxels per axis of the median image there.
        case_voxels: of the median image, not rounded axis by axis.
        network: what is planned there.
    """

    spacing: tuple[float, ...]
    median_shape: tuple[int, ...]
    case_voxels: float
    network: NetworkPlan

    @property
    def covered(self) -> float:
        """Share of the median image that a patch shows."""
        return prod(self.network.patch_size) / self.case_voxels


def low_resolution(
    patch_size: Sequence[int],
    spacing: Sequence[float],
    median_shape: Sequence[float],
    plan_at: Callable[[tuple[float, ...], tuple[int, ...], float], NetworkPlan],
) -> LowResolution | None:
    """Find the spacing at which a patch covers a quarter of the median image (nnU-Net v2).

    The spacing grows by 3 % a step: first along axes that are more than twice as fine as the
    coarsest, then along all.

    Args:
        patch_size: what is planned at full resolution.
        spacing: mm per axis there.
        median_shape: voxels per axis of the median image there.
        plan_at: plans for a spacing, the median shape at it, and the voxels of the median image.

    Returns:
        The stage; ``None`` if patches at full resolution cover enough, or if the stage would not
        have half as many voxels.
    """
    full = voxels = prod(median_shape)
    current, patch, found = tuple(spacing), tuple(patch_size), None
    while prod(patch) / voxels < COVERED:
        current = coarser(current)
        shape = [n * old / new for n, old, new in zip(median_shape, spacing, current, strict=True)]
        rounded, voxels = tuple(max(1, round(n)) for n in shape), prod(shape)
        found = LowResolution(current, rounded, voxels, plan_at(current, rounded, voxels))
        patch = found.network.patch_size
    return found if found is not None and full / voxels >= FEWER else None


def coarser(spacing: Sequence[float]) -> tuple[float, ...]:
    """Return the spacing one step coarser."""
    coarsest = max(spacing)
    fine = [coarsest / s > 2 for s in spacing]
    grows = fine if any(fine) else [True] * len(spacing)
    return tuple(s * GROWTH if g else s for s, g in zip(spacing, grows, strict=True))
