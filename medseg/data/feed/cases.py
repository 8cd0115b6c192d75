"""What the feed needs to know of a case; the cache's cases and plain arrays both fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from medseg.data.prepare.objects import paint
from medseg.errors import InputError
from medseg.geometry.boxes import Boxes
from medseg.labels import is_foreground

# Stages that only prepare cases must not wait for torch.
if TYPE_CHECKING:
    from torch import Tensor

# As many as the cache keeps of each class, and enough that no patch centre is favoured.
_MOST_LOCATIONS = 10_000
# Label index of each class of objects.
_PAINTED = np.arange(1, 255)


@runtime_checkable
class FeedCase(Protocol):
    """A preprocessed case: arrays (memory-mapped, in memory, on a GPU) and where its classes are.

    Nothing is asked of a case before a patch is cut from it, so it may open its files then.

    Attributes:
        id: names the case in batches and messages.
        image: float32 ``(C, *S)``, an array or a tensor.
        label: uint8 indices ``(*S)``, likewise, or ``None``.
        locations: class index -> voxel coordinates ``(N, ndim)``; absent classes may be missing.

    A case that an earlier stage guides has a ``guide``, too: uint8 indices ``(*S)``, see `maps_of`;
    one whose objects are to be found has ``boxes``, see `boxes_of`.
    """

    @property
    def id(self) -> str: ...  # noqa: D102

    @property
    def image(self) -> np.ndarray | Tensor: ...  # noqa: D102

    @property
    def label(self) -> np.ndarray | Tensor | None: ...  # noqa: D102

    @property
    def locations(self) -> Mapping[int, np.ndarray]: ...  # noqa: D102


def maps_of(case: FeedCase) -> list[Any]:
    """List a case's maps ``(*S)``: its label, and an earlier stage's guide if it has one."""
    guide = getattr(case, "guide", None)
    return [case.label, *([] if guide is None else [guide])]


def boxes_of(case: FeedCase) -> Boxes | None:
    """Give the objects of a case, on the grid of its image; ``None``: they are not to be found."""
    return getattr(case, "boxes", None)


@dataclass(frozen=True, eq=False)
class MemoryCase:
    """A preprocessed case given as plain arrays.

    Attributes:
        id: unique name.
        image: ``(C, I, J, K)`` or ``(C, I, J)``; brought to float32.
        label: integer indices ``(I, J, K)`` or ``(I, J)``, or ``None``; brought to uint8. Voxels
            that nobody labelled are `medseg.labels.IGNORED`.
        guide: what an earlier stage found, as ``label``, or ``None``.
        boxes: the objects, in voxel edges of ``image``, where they are to be found. Without a label
            it is made of the ellipsoids inside them: 1 + the class.

    Raises:
        InputError: the shapes do not belong together, or the label is not of whole numbers.
    """

    id: str
    image: np.ndarray
    label: np.ndarray | None = None
    guide: np.ndarray | None = None
    boxes: Boxes | None = None

    def __post_init__(self) -> None:
        image = np.asarray(self.image, dtype=np.float32)
        if image.ndim not in (3, 4):
            raise InputError(
                f"case {self.id!r}: an image has a channel axis and 2 or 3 spatial axes",
                expected="(C, I, J, K) or (C, I, J)",
                found=f"shape {image.shape}",
                remedy="add the channel axis: image[None]",
            )
        object.__setattr__(self, "image", image)
        if self.label is None and self.boxes is not None:
            counted = self.boxes[self.boxes.classes >= 0]
            object.__setattr__(self, "label", paint(counted, image.shape[1:], _PAINTED))
        for name in ("label", "guide"):
            index = getattr(self, name)
            if index is not None:
                object.__setattr__(self, name, _index_label(self.id, index, image.shape[1:]))

    @cached_property
    def locations(self) -> dict[int, np.ndarray]:
        """Voxel coordinates ``(N, ndim)`` of each foreground class, at most 10,000 a class."""
        if self.label is None:
            return {}
        classes = [int(c) for c in np.unique(self.label) if is_foreground(c)]
        return {c: _thin(np.argwhere(self.label == c).astype(np.int32)) for c in classes}


def _index_label(case_id: str, label: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    label = np.asarray(label)
    if label.shape != shape:
        raise InputError(
            f"case {case_id!r}: image and label have different shapes",
            expected=f"label {shape}",
            found=f"label {label.shape}",
        )
    index = label.astype(np.uint8)
    if not np.array_equal(index, label):
        raise InputError(
            f"case {case_id!r}: the label must hold class indices",
            expected="whole numbers from 0 to 255",
            found=f"{label.dtype} values from {label.min()} to {label.max()}",
        )
    return index


def _thin(locations: np.ndarray) -> np.ndarray:
    if len(locations) <= _MOST_LOCATIONS:
        return locations
    picked = np.random.default_rng(0).choice(len(locations), _MOST_LOCATIONS, replace=False)
    return locations[np.sort(picked)]
