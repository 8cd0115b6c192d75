"""Dice per class on whole volumes, on tensors: what validation accumulates."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from medseg.errors import InputError
from medseg.labels import IGNORED, LabelScheme


class VoxelCounts(NamedTuple):
    """Voxels per case and output, float64 ``(B, R)`` on the CPU (exact up to 2⁵³)."""

    tp: Tensor
    pred: Tensor
    ref: Tensor


def voxel_counts(preds: Tensor, target: Tensor, scheme: LabelScheme) -> VoxelCounts:
    """Count the voxels of every class or region of `LabelScheme.foreground`.

    Args:
        preds: label indices ``(B, *S)`` or ``(B, 1, *S)``, on any device.
        target: indices of the reference, with as many voxels per case. Where the scheme has an
            ignore label, its voxels count as background in both.
        scheme: what the indices mean.

    Raises:
        InputError: the shapes differ, or an index is beyond the scheme.
    """
    if _without_single_axes(preds) != _without_single_axes(target):
        raise InputError(
            "prediction and reference differ in shape",
            expected=f"the reference's {tuple(target.shape)}",
            found=f"{tuple(preds.shape)}",
        )
    classes = len(scheme.values)
    preds, target = preds.flatten(1), target.flatten(1)
    if scheme.ignore is not None:
        ignored = target == IGNORED
        preds, target = preds.masked_fill(ignored, 0), target.masked_fill(ignored, 0)
    highest = max(int(preds.max()), int(target.max()))
    if highest >= classes:
        raise InputError(
            "an index is beyond the label scheme", expected=f"below {classes}", found=str(highest)
        )
    pairs = target.long() * classes + preds.long()
    matrix = torch.stack([torch.bincount(case, minlength=classes**2) for case in pairs])
    matrix = matrix.cpu().double().view(-1, classes, classes)
    member = torch.zeros(classes, len(scheme.foreground), dtype=torch.float64)
    for output, indices in enumerate(scheme.region_indices()):
        member[list(indices), output] = 1.0
    return VoxelCounts(
        tp=torch.einsum("bij,ir,jr->br", matrix, member, member),
        pred=matrix.sum(1) @ member,
        ref=matrix.sum(2) @ member,
    )


def dice_per_output(preds: Tensor, target: Tensor, scheme: LabelScheme) -> Tensor:
    """Return Dice per case and class or region, float32 ``(B, R)`` on the CPU.

    NaN where neither has the class, 0 where only one of them does. Arguments as in `voxel_counts`.
    """
    tp, pred, ref = voxel_counts(preds, target, scheme)
    return (2 * tp / (pred + ref)).float()


class VolumeDice:
    """Collects Dice of whole volumes over a validation.

    Args:
        scheme: what the indices mean.
    """

    def __init__(self, scheme: LabelScheme) -> None:
        self.scheme = scheme
        self.cases: list[Tensor] = []

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch of volumes; arguments as in `voxel_counts`."""
        self.cases += dice_per_output(preds, target, self.scheme)

    def compute(self) -> dict[str, float]:
        """Return the mean over cases per class, and over classes as ``mean``.

        Cases in which neither mask has the class are left out; NaN where none is left.
        """
        names = self.scheme.foreground
        cases = torch.stack(self.cases) if self.cases else torch.full((1, len(names)), torch.nan)
        means = cases.nanmean(0)
        per_class = dict(zip(names, means.tolist(), strict=True))
        return {**per_class, "mean": float(means.nanmean())}

    def reset(self) -> None:
        """Forget everything."""
        self.cases = []


def _without_single_axes(index: Tensor) -> tuple[int, ...]:
    # (B, *S) and (B, 1, *S) are both fine, a transposed volume is not.
    return (index.shape[0], *(n for n in index.shape[1:] if n != 1))
