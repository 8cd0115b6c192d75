"""What travels from the loader to the training step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from medseg.geometry.boxes import Boxes


class Wide(NamedTuple):
    """The region around one patch, for a transform that looks beyond the patch's borders.

    Attributes:
        image: float32 ``(C, *R)``, no smaller than the patch; may be a view of the case itself, so
            nothing may change it in place.
        label: uint8 indices ``(1, *R)``, or ``None``; see `Batch`.
        start: the patch's first voxel within the region, per axis.
    """

    image: Tensor
    label: Tensor | None
    start: tuple[int, ...]


class Sample(NamedTuple):
    """One patch or one volume, without a batch axis.

    Attributes:
        image: float32 ``(C, *S)``.
        label: uint8 indices ``(1, *S)``, or ``None``; see `Batch`.
        seed: decides every random choice that augmentation makes for this sample.
        case_id: where it was cut from.
        wide: the region around the patch, where augmentation asks for it.
        boxes: the objects, counted from the patch's first voxel, where they are to be found;
            between the cut and the end of augmentation also those beyond its border.
    """

    image: Tensor
    label: Tensor | None
    seed: int
    case_id: str
    wide: Wide | None = None
    boxes: Boxes | None = None


class Batch(NamedTuple):
    """Samples of equal shape, stacked.

    Attributes:
        image: float32 ``(B, C, *S)``.
        label: uint8 indices ``(B, 1, *S)``, or ``None`` where a case has no reference. Between the
            cut and the end of augmentation ``(B, 2, *S)`` where an earlier stage guides: behind the
            reference what that has found.
        seeds: int64 ``(B,)``; stays on the CPU, where the random choices are made.
        case_ids: ``B`` names.
        wide: one entry per sample; ``None``: no sample has one.
        boxes: one entry per sample, see `Sample`; stay on the CPU. ``None``: nothing is to be
            found.
    """

    image: Tensor
    label: Tensor | None
    seeds: Tensor
    case_ids: list[str]
    wide: list[Wide | None] | None = None
    boxes: list[Boxes] | None = None


def collate(samples: Sequence[Sample] | Batch) -> Batch:
    """Stack samples ``(C, *S)`` of equal shape into a batch ``(B, C, *S)``; a batch stays one."""
    if isinstance(samples, Batch):
        return samples
    labels = [sample.label for sample in samples if sample.label is not None]
    return Batch(
        image=torch.stack([sample.image for sample in samples]),
        label=torch.stack(labels) if len(labels) == len(samples) else None,
        seeds=torch.tensor([sample.seed for sample in samples], dtype=torch.int64),
        case_ids=[sample.case_id for sample in samples],
        wide=gather([sample.wide for sample in samples]),
        boxes=together([sample.boxes for sample in samples]),
    )


def gather(wide: list[Wide | None]) -> list[Wide | None] | None:
    """Give the regions of a batch, or ``None`` where no sample has one."""
    return wide if any(one is not None for one in wide) else None


def together(boxes: Sequence[Boxes | None]) -> list[Boxes] | None:
    """Give the boxes of a batch, or ``None`` where a sample has none to be found."""
    there = [one for one in boxes if one is not None]
    return there if there and len(there) == len(boxes) else None


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Copy image, label and regions to a device, without waiting where they are pinned.

    The seeds and boxes stay: reading them back would stall a GPU.
    """

    def move(tensor: Tensor) -> Tensor:
        return tensor.to(device, non_blocking=True)

    wide = batch.wide
    if wide is not None:
        wide = [
            one and Wide(move(one.image), None if one.label is None else move(one.label), one.start)
            for one in wide
        ]
    label = None if batch.label is None else move(batch.label)
    return batch._replace(image=move(batch.image), label=label, wide=wide)
