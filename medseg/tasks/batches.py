"""Batches from our loaders and from anybody else's, in one shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from medseg.data.feed.batch import Batch
from medseg.errors import InputError


def as_batch(batch: Any) -> Batch:
    """Bring a `Batch`, an ``(image, label)`` pair or a mapping with those keys to a `Batch`.

    Labels may come as ``(B, *S)`` or ``(B, 1, *S)``; they leave as ``(B, 1, *S)``. Float labels, as
    MONAI's loaders give them, become integers.

    Raises:
        InputError: it is none of the three, or the shapes do not belong together.
    """
    if isinstance(batch, Batch):
        return batch
    if isinstance(batch, Mapping):
        image, label = batch.get("image"), batch.get("label")
        ids = batch.get("case_ids", [])
    elif isinstance(batch, tuple | list) and len(batch) in (1, 2):
        image, label, ids = batch[0], batch[1] if len(batch) == 2 else None, []
    else:
        image = label = None
        ids = []
    if not isinstance(image, Tensor) or not (label is None or isinstance(label, Tensor)):
        raise InputError(
            "the loader's batches are of an unknown kind",
            expected="Batch, (image, label), or a mapping with 'image' and 'label', of tensors",
            found=_describe(batch),
        )
    if label is not None:
        label = _index_label(image, label)
    seeds = torch.zeros(len(image), dtype=torch.int64)
    return Batch(image=image, label=label, seeds=seeds, case_ids=[str(i) for i in ids])


def _index_label(image: Tensor, label: Tensor) -> Tensor:
    if label.ndim == image.ndim - 1:
        label = label[:, None]
    if label.shape != (image.shape[0], 1, *image.shape[2:]):
        raise InputError(
            "image and label of a batch do not belong together",
            expected=f"label ({image.shape[0]}, 1, {', '.join(map(str, image.shape[2:]))})",
            found=f"label {tuple(label.shape)}",
        )
    return label.round().long() if label.is_floating_point() else label


def _describe(batch: Any) -> str:
    if isinstance(batch, Mapping):
        return f"a mapping with the keys {sorted(map(str, batch))}"
    if isinstance(batch, tuple | list):
        return f"{type(batch).__name__} of {[type(item).__name__ for item in batch]}"
    return type(batch).__name__
