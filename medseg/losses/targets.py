"""Bring targets to the shape that a loss computes with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medseg.errors import InputError


def index_target(logits: Tensor, target: Tensor) -> Tensor:
    """Return class indices as ``(B, 1, *S)`` int64.

    Args:
        logits: ``(B, K, *S)``, for its shape.
        target: indices, ``(B, 1, *S)`` or ``(B, *S)``, any integer type.

    Raises:
        InputError: the shapes do not belong together, or the target is not integer.
    """
    if target.shape == (logits.shape[0], *logits.shape[2:]):
        target = target.unsqueeze(1)
    if target.shape != (logits.shape[0], 1, *logits.shape[2:]):
        raise InputError(
            "the target does not match the logits",
            expected=f"indices of shape {(logits.shape[0], 1, *logits.shape[2:])}",
            found=f"shape {tuple(target.shape)} for logits {tuple(logits.shape)}",
            remedy="overlapping regions need a region loss (dice_bce), exclusive classes indices",
        )
    if target.is_floating_point() or target.is_complex():
        raise InputError(
            "the target of exclusive classes must be integer indices", found=str(target.dtype)
        )
    return target.long()


def region_target(logits: Tensor, target: Tensor) -> Tensor:
    """Return region masks ``(B, R, *S)`` in the logits' type.

    Raises:
        InputError: the shapes differ.
    """
    if target.shape != logits.shape:
        raise InputError(
            "the target does not match the logits of the regions",
            expected=f"one mask per region, shape {tuple(logits.shape)}",
            found=f"shape {tuple(target.shape)}",
            remedy="make the masks with medseg.losses.region_masks(index, scheme.region_indices())",
        )
    return target.to(logits.dtype)


def region_masks(index: Tensor, members: Sequence[Sequence[int]]) -> Tensor:
    """Turn class indices ``(B, 1, *S)`` into overlapping bool masks ``(B, R, *S)``.

    Args:
        index: label indices.
        members: the indices that each region unites, `LabelScheme.region_indices`.
    """
    return torch.cat([_is_one_of(index, indices) for indices in members], dim=1)


def class_masks(probabilities: Tensor, target: Tensor) -> Tensor:
    """Return one mask per class, ``(B, K, *S)``.

    Args:
        probabilities: ``(B, K, *S)``, for its shape and type.
        target: masks of that shape (returned as they are, half precision widened), or class
            indices, which become bool masks: a quarter of a float one-hot.
    """
    if target.shape == probabilities.shape:
        return full_precision(target) if target.is_floating_point() else target.bool()
    classes = torch.arange(probabilities.shape[1], device=target.device)
    shape = (1, -1, *[1] * (probabilities.ndim - 2))
    return index_target(probabilities, target) == classes.view(shape)


def full_precision(values: Tensor) -> Tensor:
    """Return float32 (float64 stays): sums over a volume overflow in half precision."""
    return values if values.dtype == torch.float64 else values.float()


def voxel_mask(logits: Tensor, valid: Tensor | None) -> Tensor | None:
    """Return the voxels that take part as bool ``(B, 1, *S)``, or ``None`` for all of them.

    Args:
        logits: ``(B, K, *S)``, for its shape.
        valid: mask ``(B, 1, *S)`` or ``(B, *S)``, or ``None``.

    Raises:
        InputError: the shapes do not belong together.
    """
    if valid is None:
        return None
    if valid.shape == (logits.shape[0], *logits.shape[2:]):
        valid = valid.unsqueeze(1)
    if valid.shape != (logits.shape[0], 1, *logits.shape[2:]):
        raise InputError(
            "the mask of voxels that take part does not match the logits",
            expected=f"shape {(logits.shape[0], 1, *logits.shape[2:])}",
            found=f"shape {tuple(valid.shape)}",
        )
    return valid.bool()


def class_weight_tensor(weights: Sequence[float] | None) -> Tensor | None:
    """Check weights per class and return them as float32, or ``None``.

    Raises:
        InputError: a weight is negative or not finite, or all are zero.
    """
    if weights is None:
        return None
    tensor = torch.as_tensor(weights, dtype=torch.float32)
    if tensor.ndim != 1 or not bool(torch.isfinite(tensor).all() and (tensor >= 0).all()):
        raise InputError(
            "class weights must be a list of finite numbers that are not negative",
            found=str(tensor.tolist()),
        )
    if not bool(tensor.any()):
        raise InputError("all class weights are zero", found=str(tensor.tolist()))
    return tensor


def check_weight_count(weights: Tensor | None, outputs: int) -> None:
    """Refuse weights whose number is not that of the network's outputs.

    Raises:
        InputError: the numbers differ.
    """
    if weights is not None and len(weights) != outputs:
        raise InputError(
            "there must be one class weight per output of the network",
            expected=f"{outputs} weights (the background, where there is one, comes first)",
            found=f"{len(weights)} weights",
        )


def _is_one_of(index: Tensor, values: Sequence[int]) -> Tensor:
    mask = index == values[0]
    for value in values[1:]:
        mask |= index == value
    return mask
