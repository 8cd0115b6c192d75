"""The shape of a U-Net in numbers: channels, strides and kernels per stage; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from operator import index

from medseg.errors import InputError

PerStage = Sequence[Sequence[int] | int]


@dataclass(frozen=True)
class Topology:
    """Channels, strides and kernels of each stage of an encoder, finest stage first.

    Attributes:
        spatial_dims: 2 or 3.
        features: channels per stage.
        strides: per stage, per axis; what a stage does to the output of the one above it.
        kernels: per stage, per axis; odd numbers.
    """

    spatial_dims: int
    features: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]

    @property
    def stages(self) -> int:
        """Number of stages, the bottleneck included."""
        return len(self.features)

    @property
    def divisor(self) -> tuple[int, ...]:
        """By what each axis of the input must be divisible: the product of its strides."""
        return tuple(
            prod(stage[axis] for stage in self.strides) for axis in range(self.spatial_dims)
        )

    @classmethod
    def read(
        cls,
        *,
        spatial_dims: int,
        features: Sequence[int],
        strides: PerStage | None = None,
        kernels: PerStage | None = None,
    ) -> Topology:
        """Check what a user gave and complete it.

        Args:
            spatial_dims: 2 or 3.
            features: channels per stage, two stages or more.
            strides: per stage, one number for all axes or one per axis; ``None``: 1, then 2s.
            kernels: likewise; ``None``: 3s.

        Raises:
            InputError: lengths that do not fit together, or a number out of its range.
        """
        check_dims(spatial_dims)
        features = _whole("features", features)
        if len(features) < 2 or min(features) < 1:
            raise InputError(
                "features must give the channels of two stages or more",
                expected="positive numbers, e.g. (32, 64, 128, 256)",
                found=str(features),
            )
        strides = (1, *[2] * (len(features) - 1)) if strides is None else strides
        kernels = [3] * len(features) if kernels is None else kernels
        full_strides = _per_axis("strides", strides, spatial_dims, len(features))
        full_kernels = _per_axis("kernels", kernels, spatial_dims, len(features))
        if any(n != 1 for n in full_strides[0]):
            raise InputError(
                "the first stage must keep the resolution of the input",
                expected=f"strides[0] = {(1,) * spatial_dims}",
                found=str(full_strides[0]),
                remedy="give one stride per stage, the first of all ones",
            )
        if any(n % 2 == 0 for kernel in full_kernels for n in kernel):
            raise InputError("kernels must be odd", expected="1, 3, 5 …", found=str(full_kernels))
        return cls(spatial_dims, features, full_strides, full_kernels)


def check_dims(spatial_dims: int) -> None:
    """Refuse another number of dimensions than 2 and 3.

    Raises:
        InputError: it is another.
    """
    if spatial_dims not in (2, 3):
        raise InputError("spatial_dims must be 2 or 3", expected="2 or 3", found=repr(spatial_dims))


def published_blocks(stages: int) -> tuple[int, ...]:
    """Give the residual blocks per encoder stage of nnU-Net Revisited: 1, 3, 4, then 6s."""
    return (1, 3, 4, *[6] * stages)[:stages]


def counts_per_stage(name: str, value: Sequence[int] | int, stages: int) -> tuple[int, ...]:
    """Read one count for all stages, or one for each.

    Raises:
        InputError: another number of stages, or a count below 1.
    """
    counts = (value,) * stages if isinstance(value, int) else _whole(name, value)
    if len(counts) != stages or min(counts, default=0) < 1:
        raise InputError(
            f"{name} must be one positive number, or one per stage",
            expected=f"{stages} numbers, as many as features",
            found=str(counts),
        )
    return counts


def _whole(name: str, value: Sequence[int]) -> tuple[int, ...]:
    try:
        return tuple(index(n) for n in value)
    except TypeError:
        raise InputError(f"{name} must give whole numbers", found=repr(value)) from None


def _sequence(name: str, value: PerStage) -> PerStage:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise InputError(f"{name} must give one entry per stage", found=repr(value))
    return value


def _per_axis(
    name: str, value: PerStage, spatial_dims: int, stages: int
) -> tuple[tuple[int, ...], ...]:
    full = tuple(
        (stage,) * spatial_dims if isinstance(stage, int) else _whole(name, stage)
        for stage in _sequence(name, value)
    )
    if len(full) != stages:
        raise InputError(
            f"{name} and features speak of different numbers of stages",
            expected=f"{stages} entries, as many as features",
            found=f"{len(full)}: {full}",
        )
    if any(len(stage) != spatial_dims or min(stage) < 1 for stage in full):
        raise InputError(
            f"{name} must give one positive number per axis in every stage",
            expected=f"{spatial_dims} axes",
            found=str(full),
        )
    return full
