"""Volumes slice by slice: a plan in two dimensions, written with the third as 1.

A convolution of kernel (3, 3, 1) over a patch of (256, 256, 1) is the 2D convolution of a slice, so
a network of three axes that never looks along one of them is the 2D network. Files, cache and
sliding window stay those of volumes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from medseg.errors import InputError
from medseg.networks.needs import NetworkNeeds
from medseg.planning.network import NetworkPlan

PER_AXIS = ("patch_size",)
PER_STAGE = ("strides", "kernels")


def without(values: Sequence, axis: int) -> tuple:
    """Return values per axis of a slice."""
    return tuple(value for i, value in enumerate(values) if i != axis)


def with_one(values: Sequence[int], axis: int) -> tuple[int, ...]:
    """Return values per axis of a volume, 1 along the stack."""
    return (*values[:axis], 1, *values[axis:])


def of_slice(given: Mapping[str, Any], axis: int) -> dict[str, Any]:
    """Take the axis of the stack out of what the user fixed."""
    out = dict(given)
    for key in given.keys() & set(PER_AXIS):
        out[key] = without(given[key], axis)
    for key in given.keys() & set(PER_STAGE):
        out[key] = tuple(without(stage, axis) for stage in given[key])
    return out


def of_volume(network: NetworkPlan, axis: int) -> NetworkPlan:
    """Put the axis of the stack into what was planned for a slice."""
    reasons = dict(network.reasons)
    reasons["patch_size"] = reasons["patch_size"].replace("median image", "median slice")
    reasons["kernels"] += f"; 1 across slices, along axis {axis}"
    return replace(
        network,
        reasons=reasons,
        patch_size=with_one(network.patch_size, axis),
        strides=tuple(with_one(stride, axis) for stride in network.strides),
        kernels=tuple(with_one(kernel, axis) for kernel in network.kernels),
    )


def needs_of_slice(needs: NetworkNeeds | None, axis: int) -> NetworkNeeds | None:
    """Return what the network wants of a slice.

    Raises:
        InputError: the network cannot take volumes that are one voxel thick.
    """
    inner = needs.within(axis) if needs is not None else None
    if needs is not None and inner is None:
        raise InputError(
            "plan.configuration: this network cannot take a volume slice by slice",
            expected="a network that takes patches one voxel thick, such as unet",
            found=f"one that wants multiples of {list(needs.divisor)}",
            remedy="choose network: unet or residual_unet, or plan.configuration: 3d_fullres",
        )
    return inner
