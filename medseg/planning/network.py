"""Patch, batch and depth: what the network's size follows from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from medseg.errors import InputError
from medseg.networks.needs import NetworkNeeds
from medseg.planning import presets
from medseg.planning.batching import batch_size
from medseg.planning.given_patch import given_patch
from medseg.planning.patch import Patch, Poolable, first_patch, shrink
from medseg.planning.pooling import PerAxis, kernels
from medseg.planning.preset import Name, Preset

GIVEN = "given by the user"


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
    median_shape: Sequence[float],
    *,
    num_cases: int,
    num_classes: int,
    needs: NetworkNeeds | None = None,
    given: Mapping[str, Any] | None = None,
    preset: Name | Preset = "standard",
    case_voxels: float | None = None,
    order: Sequence[int] | None = None,
    show: Callable[[PerAxis], list] = list,
) -> NetworkPlan:
    """Plan patch, batch, strides, kernels and features, in 2D or 3D.

    Args:
        spacing: mm per axis that images are resampled to.
        median_shape: voxels per axis of the median image at that spacing.
        num_cases: training images.
        num_classes: outputs of the network.
        needs: what the network wants of its input beyond the strides.
        given: values that the user fixed, see `medseg.planning.overrides`.
        preset: see `medseg.planning.planner.plan`.
        case_voxels: of the median case where the network sees slices of it; ``None``: those of
            ``median_shape``.
        order: the axes as nnU-Net has them (`axes.coarsest_first`); ``None``: as they are.
        show: writes a patch size as the user would.

    Raises:
        InputError: what the user fixed does not fit together.
    """
    given = dict(given or {})
    _check_stages(given)
    chosen, dims = presets.find(preset), len(spacing)
    stages = given.get("features") or given.get("kernels")
    poolable = Poolable(
        tuple(spacing),
        strides=given.get("strides"),
        max_pools=len(stages) - 1 if stages else chosen.max_pools,
        needs=needs,
    )
    remembered = _Remembered(chosen, given.get("features"), num_classes)
    if "patch_size" in given:
        patch = given_patch(given["patch_size"], poolable, show=show)
        why_patch = _why_given(patch, median_shape)
    else:
        patch, why_patch = _largest_patch(poolable, median_shape, remembered, order=order)
    features = given.get("features") or chosen.features_of(len(patch.strides), dims)
    _check_features(features, patch, show)
    voxels = num_cases * (prod(median_shape) if case_voxels is None else case_voxels)
    read = poolable.read(patch)
    batch, why_batch = batch_size(
        chosen.limit.room(read.size, remembered(read)),
        voxels * chosen.covered / prod(patch.size),
        covered=chosen.covered,
    )
    reasons = {
        "patch_size": why_patch,
        "batch_size": why_batch or chosen.limit.why(dims)[1],
        "strides": "an axis is halved while it has 8 voxels and is not 2x coarser",
        "kernels": "1 along axes 2x coarser than the finest, else 3",
        "features": f"{features[0]}, doubled a stage, at most {chosen.most_features[dims]}",
    }
    return NetworkPlan(
        patch_size=patch.size,
        batch_size=given.get("batch_size", batch),
        strides=patch.strides,
        kernels=given.get("kernels") or kernels(spacing, patch.strides),
        features=features,
        reasons=reasons | dict.fromkeys(given.keys() & reasons.keys() - {"patch_size"}, GIVEN),
    )


@dataclass(frozen=True)
class _Remembered:
    """How many values the network remembers of a patch, the user's features counted in."""

    preset: Preset
    features: tuple[int, ...] | None
    num_classes: int

    def __call__(self, patch: Patch) -> int:
        stages = len(patch.strides)
        features = self.features or self.preset.features_of(stages, len(patch.size))
        features = (*features, *features[-1:] * (stages - len(features)))[:stages]
        return self.preset.activations(
            patch.size, patch.strides, features, num_classes=self.num_classes
        )


def _largest_patch(
    poolable: Poolable,
    median_shape: Sequence[float],
    remembered: _Remembered,
    *,
    order: Sequence[int] | None,
) -> tuple[Patch, str]:
    """Return the largest patch that the preset has room for, and why it is that."""
    preset = remembered.preset

    def fits(smaller: Patch) -> bool:
        read = poolable.read(smaller)
        return preset.limit.fits(read.size, remembered(read))

    start = poolable.holding(first_patch(poolable.spacing, median_shape))
    patch = shrink(
        start,
        poolable,
        median_shape,
        fits,
        order=order if preset.transposed_ties else None,
    )
    step = _sizes(poolable.step(start.strides))
    why = f"median image {_sizes(median_shape)} at this spacing, rounded up to multiples of {step}"
    if patch != start:
        why += f", shrunk until {preset.limit.why(len(patch.size))[0]}"
    return patch, why


def _why_given(patch: Patch, median_shape: Sequence[float]) -> str:
    if all(n <= m for n, m in zip(patch.size, median_shape, strict=True)):
        return GIVEN
    return f"{GIVEN}; larger than the median image {_sizes(median_shape)}, so images are padded"


def _sizes(voxels: Sequence[float]) -> str:
    return " x ".join(f"{n:g}" for n in voxels)


def _check_features(features: Sequence[int], patch: Patch, show: Callable[[PerAxis], list]) -> None:
    if len(features) != len(patch.strides):
        raise InputError(
            f"plan.features: {len(features)} stages, but a patch of {show(patch.size)} can be "
            f"pooled {len(patch.strides) - 1} times",
            expected=f"at most {len(patch.strides)} features",
            remedy="give fewer features, a larger plan.patch_size, or plan.strides",
        )


def _check_stages(given: Mapping[str, Any]) -> None:
    lengths = {key: len(given[key]) for key in ("strides", "kernels", "features") if key in given}
    if len(set(lengths.values())) > 1:
        raise InputError(
            "plan: strides, kernels and features must have one entry per stage",
            expected="lists of the same length",
            found=", ".join(f"{key} {length}" for key, length in lengths.items()),
        )
