"""What travels from the loader to the training step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Sample(NamedTuple):
    """One patch or one volume, without a batch axis.

    Attributes:
        image: float32 ``(C, *S)``.
        label: uint8 indices ``(1, *S)``, or ``None``.
        seed: decides every random choice that augmentation makes for this sample.
        case_id: where it was cut from.
    """

    image: Tensor
    label: Tensor | None
    seed: int
    case_id: str


class Batch(NamedTuple):
    """Samples of equal shape, stacked.

    Attributes:
        image: float32 ``(B, C, *S)``.
        label: uint8 indices ``(B, 1, *S)``, or ``None`` where a case has no reference.
        seeds: int64 ``(B,)``; stays on the CPU, where the random choices are made.
        case_ids: ``B`` names.
    """

    image: Tensor
    label: Tensor | None
    seeds: Tensor
    case_ids: list[str]


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples ``(C, *S)`` of equal shape into a batch ``(B, C, *S)``."""
    labels = [sample.label for sample in samples if sample.label is not None]
    return Batch(
        image=torch.stack([sample.image for sample in samples]),
        label=torch.stack(labels) if len(labels) == len(samples) else None,
        seeds=torch.tensor([sample.seed for sample in samples], dtype=torch.int64),
        case_ids=[sample.case_id for sample in samples],
    )
