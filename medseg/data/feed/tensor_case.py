"""A case whose voxels lie on the training device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medseg.data.feed.cases import FeedCase, boxes_of
from medseg.geometry.boxes import Boxes


@dataclass(frozen=True, eq=False)
class TensorCase:
    """A preprocessed case whose voxels lie on the training device; see `on_device`.

    Attributes:
        id: unique name.
        image: float32 ``(C, *S)``.
        label: uint8 indices ``(*S)``, or ``None``.
        locations: class index -> voxel coordinates ``(N, ndim)``, in memory.
        guide: uint8 indices ``(*S)`` of an earlier stage, or ``None``.
        boxes: the objects, on the CPU, or ``None``.
    """

    id: str
    image: Tensor
    label: Tensor | None
    locations: Mapping[int, np.ndarray]
    guide: Tensor | None = None
    boxes: Boxes | None = None

    # A GPU's memory cannot be handed to a process, and a copy of it should not be.
    def __reduce__(self) -> tuple:
        raise TypeError(f"case {self.id!r} lies on {self.image.device}: use no loader processes")


def on_device(case: FeedCase, device: torch.device) -> TensorCase:
    """Copy a case to a device, bit for bit."""
    label, guide = case.label, getattr(case, "guide", None)
    return TensorCase(
        id=case.id,
        image=_copied(case.image, device, np.float32),
        label=None if label is None else _copied(label, device, np.uint8),
        # Copied, so that no map of a file stays open.
        locations={k: np.array(voxels) for k, voxels in case.locations.items()},
        guide=None if guide is None else _copied(guide, device, np.uint8),
        boxes=boxes_of(case),
    )


def _copied(array: np.ndarray | Tensor, device: torch.device, dtype: type) -> Tensor:
    if isinstance(array, Tensor):
        return array.to(device)
    # Read whole first: torch cannot look at a read-only map.
    return torch.from_numpy(np.array(array, dtype=dtype)).to(device)
