"""Patch, batch and depth: what the network's size follows from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from medseg.errors import InputError
from medseg.planning.memory import REFERENCE_BATCH, activations, reference
from medseg.planning.patch import Needs, Patch, first_patch, pooled, shrink, step
from medseg.planning.pooling import PerAxis, kernels, pooling_strides

Preset = Literal["standard", "fast"]

# A batch never covers more of the data set's voxels than this.
MAX_COVERED = 0.05
MIN_BATCH = 2

FEATURES = {"standard": 32, "fast": 16}
MOST_FEATURES = {("standard", 2): 512, ("standard", 3): 320, ("fast", 2): 128, ("fast", 3): 128}

# The fast preset: a step on two CPU cores stays near a second.
FAST_POOLS = 3
FAST_PATCH = {2: 256**2, 3: 64**3}
FAST_BATCH_2D = 12


@dataclass(frozen=True)
class NetworkPlan:
    """The part of `Plan` that preprocessing does not depend on, with reasons."""

    patch_size: PerAxis
    batch_size: int
    strides: tuple[PerAxis, ...]
    kernels: tuple[PerAxis, ...]
    features: tuple[int, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)


def network_plan(
    spacing: Sequence[float],
    median_shape: Sequence[int],
    *,
    num_cases: int,
    num_classes: int,
    needs: Needs | None = None,
    given: Mapping[str, Any] | None = None,
    preset: Preset = "standard",
    memory_gb: float = 8.0,
) -> NetworkPlan:
    """Plan patch, batch, strides, kernels and features.

    Args:
        spacing: mm per axis that images are resampled to.
        median_shape: voxels per axis of the median image at that spacing.
        num_cases: training images.
        num_classes: outputs of the network.
        needs: what the network wants of its input beyond the strides.
        given: values that the user fixed, see `medseg.planning.overrides.read`.
        preset: see `medseg.planning.planner.plan`.
        memory_gb: GPU memory that ``standard`` fills.

    Raises:
        InputError: what the user fixed does not fit together.
    """
    given = dict(given or {})
    _check_stages(given)
    sizing = _Sizing(tuple(spacing), num_classes, given, preset, memory_gb, needs)
    reasons: dict[str, str] = {}
    if "patch_size" in given:
        patch = sizing.given_patch()
        reasons["patch_size"] = _larger(patch.size, median_shape)
    else:
        start = pooled(first_patch(spacing, median_shape), spacing, **sizing.options)
        patch = shrink(start, spacing, median_shape, sizing.fits, **sizing.options)
        reasons["patch_size"] = (
            f"median image {tuple(median_shape)} at this spacing, rounded up to multiples of "
            f"{step(start.strides, needs)}"
        ) + ("" if patch == start else f", shrunk until {sizing.limit}")
    features = sizing.features(len(patch.strides))
    if len(features) != len(patch.strides):
        raise InputError(
            f"plan.features: {len(features)} stages, but a patch of {patch.size} can be pooled "
            f"{len(patch.strides) - 1} times",
            expected=f"at most {len(patch.strides)} features",
            remedy="give fewer features, a larger plan.patch_size, or plan.strides",
        )
    batch, why = sizing.batch(patch, num_cases * math.prod(median_shape))
    reasons["batch_size"] = why
    reasons["strides"] = "an axis is halved while it has 8 voxels and is not 2x coarser"
    reasons["kernels"] = "1 along axes 2x coarser than the finest, else 3"
    reasons["features"] = (
        f"{features[0]}, doubled a stage, at most {MOST_FEATURES[preset, len(spacing)]}"
    )
    for key in given.keys() & reasons.keys() - {"patch_size"}:
        reasons[key] = "given by the user"
    return NetworkPlan(
        patch_size=patch.size,
        batch_size=given.get("batch_size", batch),
        strides=patch.strides,
        kernels=given.get("kernels") or kernels(spacing, patch.strides),
        features=features,
        reasons=reasons,
    )


@dataclass(frozen=True)
class _Sizing:
    """What decides whether a patch is small enough."""

    spacing: tuple[float, ...]
    num_classes: int
    given: Mapping[str, Any]
    preset: Preset
    memory_gb: float
    needs: Needs | None

    @property
    def options(self) -> dict[str, Any]:
        stages = self.given.get("features") or self.given.get("kernels")
        pools = FAST_POOLS if self.preset == "fast" else None
        return {
            "strides": self.given.get("strides"),
            "max_pools": len(stages) - 1 if stages else pools,
            "needs": self.needs,
        }

    @property
    def limit(self) -> str:
        if self.preset == "fast":
            return f"it has at most {FAST_PATCH[len(self.spacing)]} voxels (fast preset)"
        return f"training fits {self.memory_gb:g} GB"

    def features(self, stages: int) -> tuple[int, ...]:
        if "features" in self.given:
            return self.given["features"]
        first = FEATURES[self.preset]
        most = MOST_FEATURES[self.preset, len(self.spacing)]
        return tuple(min(first * 2**stage, most) for stage in range(stages))

    def activations(self, patch: Patch) -> int:
        features = self.features(len(patch.strides))
        features += features[-1:] * (len(patch.strides) - len(features))
        return activations(
            patch.size,
            patch.strides,
            features[: len(patch.strides)],
            num_classes=self.num_classes,
        )

    def fits(self, patch: Patch) -> bool:
        if self.preset == "fast":
            return math.prod(patch.size) <= FAST_PATCH[len(self.spacing)]
        # The patch gives way only where not even the smallest batch fits.
        return self.room(patch) >= MIN_BATCH

    def room(self, patch: Patch) -> float:
        """Return how many patches fit the memory."""
        dims = len(self.spacing)
        return reference(dims, self.memory_gb) / self.activations(patch) * REFERENCE_BATCH[dims]

    def given_patch(self) -> Patch:
        size = self.given["patch_size"]
        strides = self.options["strides"] or pooling_strides(
            self.spacing, size, max_pools=self.options["max_pools"]
        )
        multiple = step(strides, self.needs)
        larger = pooled(size, self.spacing, **self.options).size
        problem = self.needs.problem(size) if self.needs else None
        if larger == size and problem is None:
            return Patch(size, tuple(strides))
        smaller = tuple(n // m * m for n, m in zip(size, multiple, strict=True))
        valid = all(smaller) and pooled(smaller, self.spacing, **self.options).size == smaller
        raise InputError(
            f"plan.patch_size: the network cannot halve {list(size)} that often"
            if larger != size and problem is None
            else f"plan.patch_size: {problem or 'the network cannot take this size'}",
            expected=f"multiples of {list(multiple)}; nearest: "
            + (f"{list(smaller)} or {list(larger)}" if valid else f"{list(larger)}"),
            found=str(list(size)),
            remedy="take one of these, or fewer stages (plan.features or plan.strides)",
        )

    def batch(self, patch: Patch, dataset_voxels: int) -> tuple[int, str]:
        voxels, dims = math.prod(patch.size), len(patch.size)
        share = round(dataset_voxels * MAX_COVERED / voxels)
        if self.preset == "fast":
            room = 2 if dims == 3 else min(FAST_BATCH_2D, 4 * FAST_PATCH[2] // voxels)
            why = "fast preset"
        else:
            room = round(self.room(patch))
            why = f"as many as fit {self.memory_gb:g} GB"
        if share < room:
            room, why = share, "5 % of the data set's voxels"
        return (room, why) if room >= MIN_BATCH else (MIN_BATCH, "the smallest batch")


def _larger(size: PerAxis, median_shape: Sequence[int]) -> str:
    if all(n <= m for n, m in zip(size, median_shape, strict=True)):
        return "given by the user"
    return (
        f"given by the user; larger than the median image {tuple(median_shape)}, "
        "so images are padded"
    )


def _check_stages(given: Mapping[str, Any]) -> None:
    lengths = {key: len(given[key]) for key in ("strides", "kernels", "features") if key in given}
    if len(set(lengths.values())) > 1:
        raise InputError(
            "plan: strides, kernels and features must have one entry per stage",
            expected="lists of the same length",
            found=", ".join(f"{key} {length}" for key, length in lengths.items()),
        )
