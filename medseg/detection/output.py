"""What a detector returns, and how its maps line up with its anchors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class DetectionOutput(NamedTuple):
    """What a network says of a batch of patches.

    Attributes:
        class_logits: per level ``(B, A·K, *S_l)``: of each of ``A`` anchors at a place one logit
            per class, background excluded; each class is a yes or no of its own.
        box_deltas: per level ``(B, A·2n, *S_l)``: how each anchor becomes a box, see `box_coder`.
            Of a network without anchors ``A`` is 1, and they are offset and size, see
            `centre_targets`.
        segmentation: logits of the classes and the background at full resolution ``(B, C, *S)``,
            where the network segments as well.
    """

    class_logits: list[Tensor]
    box_deltas: list[Tensor]
    segmentation: Tensor | None = None

    @property
    def anchors_per_place(self) -> int:
        """The number ``A``."""
        deltas = self.box_deltas[0]
        return deltas.shape[1] // (2 * (deltas.ndim - 2))

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Places per axis of each level."""
        return [tuple(logits.shape[2:]) for logits in self.class_logits]


def in_anchor_order(maps: Sequence[Tensor], anchors_per_place: int) -> list[Tensor]:
    """Turn maps ``(B, A·V, *S_l)`` into ``(B, places·A, V)``, in the order of the anchors.

    That is: place by place in C order, and at each place anchor by anchor.
    """
    return [
        level.flatten(2)
        .transpose(1, 2)
        .reshape(len(level), -1, level.shape[1] // anchors_per_place)
        for level in maps
    ]


def flattened(output: DetectionOutput) -> tuple[Tensor, Tensor]:
    """Return logits ``(B, M, K)`` and deltas ``(B, M, 2n)`` of all levels, in float32 at least."""
    count = output.anchors_per_place
    logits = torch.cat(in_anchor_order(output.class_logits, count), dim=1)
    deltas = torch.cat(in_anchor_order(output.box_deltas, count), dim=1)
    return at_least_single(logits), at_least_single(deltas)


def at_least_single(values: Tensor) -> Tensor:
    """Return float32 (float64 stays): corners are no matter for half precision."""
    return values if values.dtype == torch.float64 else values.float()
