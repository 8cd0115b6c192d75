"""Does a batch fit a network? Said before the first convolution fails over it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor

from medseg.errors import InputError
from medseg.networks.needs import nearest_sizes


def check_input(
    x: Tensor, *, in_channels: int, divisor: Sequence[int], lone_voxel: bool = False
) -> None:
    """Check the shape of a batch ``(B, in_channels, *S)``.

    Args:
        x: the batch.
        in_channels: what the network was built for.
        divisor: by what each spatial axis must be divisible (the network's total stride).
        lone_voxel: whether the coarsest stage works with one voxel, as it does unless its channels
            are normalised one by one.

    Raises:
        InputError: the number of axes, the channels or the sizes do not fit; says which would.
    """
    axes = "IJK"[: len(divisor)]
    if x.ndim != len(divisor) + 2:
        raise InputError(
            f"a {len(divisor)}D network takes a tensor of {len(divisor) + 2} axes",
            expected=f"(B, {in_channels}, {', '.join(axes)})",
            found=str(tuple(x.shape)),
            remedy="add the batch and channel axes, or build the network with other spatial_dims",
        )
    if x.shape[1] != in_channels:
        raise InputError(
            "the input has another number of channels than the network",
            expected=f"{in_channels} (axis 1 of (B, C, {', '.join(axes)}))",
            found=f"{x.shape[1]}, shape {tuple(x.shape)}",
            remedy="give the channels the network was trained with, or build it with "
            f"in_channels={x.shape[1]}",
        )
    size = tuple(x.shape[2:])
    if any(n % d for n, d in zip(size, divisor, strict=True)):
        raise InputError(
            "the input's size is not divisible by the network's total stride",
            expected=f"multiples of {tuple(divisor)}",
            found=str(size),
            remedy=f"pad or crop: {nearest_sizes(size, divisor)}",
        )
    if prod(size) == prod(divisor) and not lone_voxel:
        larger = (2 * size[0], *size[1:])
        raise InputError(
            "only one voxel is left at the coarsest stage, and one voxel cannot be normalised",
            expected=f"at least twice the total stride {tuple(divisor)} along one axis",
            found=str(size),
            remedy=f"give a larger patch, for instance {larger}, or a network of fewer stages",
        )
