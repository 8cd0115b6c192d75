"""The two kinds of augmentation: on a batch at the training device, on a sample in the loader."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from medseg.data.feed.batch import Batch, Sample
from medseg.data.feed.seeds import generator
from medseg.geometry.boxes import Boxes

P = TypeVar("P")


class BatchTransform(ABC, Generic[P]):
    """Augment a whole batch where it lies, each sample with parameters of its own.

    Choice and application are apart: `make_params` draws from the seeds alone, so a sample's
    parameters do not depend on the batch around it; `apply` is a pure function of its arguments.
    """

    @abstractmethod
    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> P | None:
        """Draw the parameters of one sample of ``shape`` ``(C, *S)``; ``None`` leaves it alone."""

    @abstractmethod
    def apply(
        self, image: Tensor, label: Tensor | None, params: Sequence[P | None]
    ) -> tuple[Tensor, Tensor | None]:
        """Apply to image ``(B, C, *S)`` and label ``(B, 1, *S)``; neither is changed in place."""

    def make_params(self, seeds: Tensor | Sequence[int], shape: Sequence[int]) -> list[P | None]:
        """Draw one entry per sample from ``seeds`` ``(B,)``; ``shape`` is ``(C, *S)``."""
        numbers = seeds.tolist() if isinstance(seeds, Tensor) else seeds
        return [self.draw(generator(int(seed)), shape) for seed in numbers]

    def move(self, boxes: Boxes, params: P | None, shape: Sequence[int]) -> Boxes:
        """Move the boxes of one sample ``(*S)`` as `apply` moves its voxels; here: not at all."""
        return boxes

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Batch:
        """Augment a batch; image and label keep shape, type and device."""
        params = self.make_params(batch.seeds, batch.image.shape[1:])
        image, label = self.apply(batch.image.float(), batch.label, params)
        return self._moved(batch, params)._replace(image=image.to(batch.image.dtype), label=label)

    def _moved(self, batch: Batch, params: Sequence[P | None]) -> Batch:
        if batch.boxes is None:
            return batch
        shape = batch.image.shape[2:]
        pairs = zip(batch.boxes, params, strict=True)
        return batch._replace(boxes=[self.move(boxes, own, shape) for boxes, own in pairs])


class IntensityTransform(BatchTransform[P]):
    """Change the image only, one sample at a time.

    Working sample by sample keeps each result the same to the last bit in any batch, and costs
    nothing for the samples that are left alone.
    """

    @abstractmethod
    def change(self, image: Tensor, params: P) -> None:
        """Change one image ``(C, *S)`` in place."""

    def apply(
        self, image: Tensor, label: Tensor | None, params: Sequence[P | None]
    ) -> tuple[Tensor, Tensor | None]:
        """Apply to the samples that have parameters; the label is returned as it came."""
        if all(p is None for p in params):
            return image, label
        changed = image.clone()
        for one, p in zip(changed, params, strict=True):
            if p is not None:
                self.change(one, p)
        return changed, label


class LoaderTransform(ABC):
    """Change one sample in the loader, before samples are stacked.

    The shape must stay: samples of a batch are equal. ``seed`` must decide every random choice.
    """

    @property
    def name(self) -> str:
        """What messages call it."""
        return type(self).__name__

    @abstractmethod
    def __call__(self, sample: Sample, *, seed: int) -> Sample:
        """Return the changed sample."""


def split(
    transforms: Sequence[BatchTransform | LoaderTransform],
) -> tuple[list[LoaderTransform], list[BatchTransform]]:
    """Part a list into what runs in the loader and what runs on the device.

    Those of the loader come first, wherever they stood; within each kind the order is kept.
    """
    loader: list[Any] = [t for t in transforms if isinstance(t, LoaderTransform)]
    batch: list[Any] = [t for t in transforms if isinstance(t, BatchTransform)]
    if len(loader) + len(batch) != len(transforms):
        odd = [t for t in transforms if not isinstance(t, LoaderTransform | BatchTransform)]
        raise TypeError(f"neither a BatchTransform nor a LoaderTransform: {odd[0]!r}")
    return loader, batch
