"""The fast preset: a network that is useful after minutes, on a few cores.

A step on two CPU cores stays near a second, where a network that fills a GPU would take ten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from medseg.planning.preset import Preset


@dataclass(frozen=True)
class Voxels:
    """The limit of the fast preset: so many voxels a patch, so many a batch.

    Attributes:
        patch: the most voxels of a patch; by dimensions.
        batch: the most patches of a batch; by dimensions.
        step: the most voxels of a batch; by dimensions.
        reason: why so many, in words.
    """

    patch: Mapping[int, int]
    batch: Mapping[int, int]
    step: Mapping[int, int]
    reason: str = "fast preset"

    def fits(self, patch_size: Sequence[int], activations: int) -> bool:
        """Tell whether the patch is small enough."""
        return prod(patch_size) <= self.patch[len(patch_size)]

    def room(self, patch_size: Sequence[int], activations: int) -> float:
        """Return how many patches may be in a batch."""
        dims = len(patch_size)
        return min(self.batch[dims], self.step[dims] // prod(patch_size))

    def why(self, dims: int) -> tuple[str, str]:
        """Say when a patch is small enough, and how many patches make a batch."""
        return f"it has at most {self.patch[dims]} voxels ({self.reason})", "fast preset"


FAST = Preset(
    "fast",
    Voxels(
        patch={2: 256**2, 3: 64**3},
        batch={2: 12, 3: 2},
        step={2: 4 * 256**2, 3: 2 * 64**3},
    ),
    features=16,
    most_features={2: 128, 3: 128},
    max_pools=3,
    batch_dice=False,
    transposed_ties=False,
)


@dataclass(frozen=True)
class Rung:
    """One size of the fast preset.

    Attributes:
        features: channels of the first stage.
        batch: patches of a batch, as a multiple of `FAST`'s.
        patch: voxels of a patch, likewise.
    """

    features: int
    batch: int = 1
    patch: int = 1


# Each costs more than the one before. Where nothing is known of the device it is `FAST` itself.
# Widths between these cost as much as the next: processors multiply blocks of 16 channels.
LADDER = (
    Rung(8),
    Rung(16),
    Rung(32),
    Rung(32, batch=2, patch=2),
    Rung(32, batch=4, patch=4),
    Rung(32, batch=8, patch=8),
)
BASE = LADDER.index(Rung(FAST.features))

# A wider network is worth it only while it still takes this many steps (with 560 the doubled width
# is behind, docs/performance.md), and a narrower one only where the usual one would not take that
# many.
ENOUGH_STEPS = 1500
TOO_FEW_STEPS = 50
# The part of a budget that goes into steps; the rest validates, loads and augments.
STEPS_SHARE = 0.85


def at(rung: Rung) -> Preset:
    """Return the fast preset at a rung of the ladder."""
    limit = FAST.limit
    assert isinstance(limit, Voxels)
    return replace(
        FAST,
        features=rung.features,
        most_features=dict.fromkeys(FAST.most_features, rung.features * 8),
        limit=Voxels(
            patch={n: voxels * rung.patch for n, voxels in limit.patch.items()},
            batch={n: patches * rung.batch for n, patches in limit.batch.items()},
            step={n: voxels * rung.patch * rung.batch for n, voxels in limit.step.items()},
        ),
    )


def halved(preset: Preset, why: str) -> Preset:
    """Return the fast preset, or a rung of it, with patches of half as many voxels; and say why."""
    limit = preset.limit
    assert isinstance(limit, Voxels)
    return replace(
        preset,
        limit=replace(
            limit,
            patch={n: voxels // 2 for n, voxels in limit.patch.items()},
            step={n: voxels // 2 for n, voxels in limit.step.items()},
            reason=f"{limit.reason}, {why}",
        ),
    )


def climb(seconds: Callable[[Rung], float], budget: float) -> tuple[Rung, int]:
    """Choose the rung for a budget, and say how many steps it will take.

    The largest from the usual one upwards that still takes `ENOUGH_STEPS`; or, where the usual one
    would not even take `TOO_FEW_STEPS`, the largest below that does.

    Args:
        seconds: how long a step at a rung takes on the device.
        budget: seconds to train.
    """

    def steps(rung: Rung) -> int:
        return int(budget * STEPS_SHARE / seconds(rung))

    chosen = BASE
    while chosen + 1 < len(LADDER) and steps(LADDER[chosen + 1]) >= ENOUGH_STEPS:
        chosen += 1
    while chosen and chosen <= BASE and steps(LADDER[chosen]) < TOO_FEW_STEPS:
        chosen -= 1
    return LADDER[chosen], steps(LADDER[chosen])
