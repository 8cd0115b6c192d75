"""What can be said of a chain of convolutions without building it; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from medseg.errors import InputError


def receptive_fields(
    kernels: Sequence[int],
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """Give the receptive field after each layer of a chain, in voxels of its input, on one axis.

    ``R_k = 1 + sum over j <= k of (F_j - 1) * D_j * product over i < j of S_i``: a layer widens the
    field by its own reach, in steps as wide as the strides before it have made them. Araujo et al.,
    Computing Receptive Fields of Convolutional Neural Networks, doi 10.23915/distill.00021.

    Args:
        kernels: ``F`` of each layer.
        strides: ``S``; ``None``: 1s. The last one widens no field of this chain.
        dilations: ``D``; ``None``: 1s.

    Raises:
        InputError: the three speak of different numbers of layers, or one number is below 1.
    """
    strides = [1] * len(kernels) if strides is None else strides
    dilations = [1] * len(kernels) if dilations is None else dilations
    if not len(kernels) == len(strides) == len(dilations):
        raise InputError(
            "kernels, strides and dilations must speak of the same layers",
            expected=f"{len(kernels)} numbers each, as many as kernels",
            found=f"{len(strides)} strides, {len(dilations)} dilations",
        )
    if min((*kernels, *strides, *dilations), default=1) < 1:
        raise InputError(
            "kernels, strides and dilations must be positive",
            found=f"{tuple(kernels)}, {tuple(strides)}, {tuple(dilations)}",
        )
    field, step, fields = 1, 1, []
    for kernel, stride, dilation in zip(kernels, strides, dilations, strict=True):
        field += (kernel - 1) * dilation * step
        step *= stride
        fields.append(field)
    return tuple(fields)


def convolution_parameters(
    kernel: Sequence[int],
    in_channels: int,
    out_channels: int,
    *,
    groups: int = 1,
    bias: bool = True,
) -> int:
    """Count the parameters of a convolution: ``(F * F * C + 1) * K``.

    Args:
        kernel: ``F`` per axis.
        in_channels: ``C``.
        out_channels: ``K``.
        groups: each output sees ``C / groups`` channels only.
        bias: the 1.
    """
    return (prod(kernel) * in_channels // groups + bias) * out_channels


def output_size(
    size: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> int:
    """Give the voxels that a convolution leaves of an axis: ``O = (I - F + 2P) / S + 1``.

    Args:
        size: ``I``.
        kernel: ``F``; with a dilation it reaches over ``(F - 1) * dilation + 1`` voxels.
        stride: ``S``; where it does not divide, the rest of the axis is left out.
        padding: ``P`` on each side.
        dilation: voxels from one weight to the next.
    """
    return (size - ((kernel - 1) * dilation + 1) + 2 * padding) // stride + 1
