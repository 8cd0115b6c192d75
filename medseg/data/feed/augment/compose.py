"""Transforms one after the other, neighbouring deformations in one resampling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medseg.data.feed.augment.elastic import Elastic
from medseg.data.feed.augment.spatial import SpatialTransform, warp_batch
from medseg.data.feed.augment.transform import BatchTransform, IntensityTransform
from medseg.data.feed.augment.warp import fuse
from medseg.data.feed.batch import Batch, Wide
from medseg.data.feed.boxes import warp_boxes
from medseg.data.feed.seeds import generator, mix, streams
from medseg.geometry.boxes import Boxes


class Compose(BatchTransform[list]):
    """Apply batch transforms in order, each with an independent stream of every sample's seed.

    Deformations that stand side by side are one resampling, so the image is interpolated once;
    space is deformed elastically first. A second `Elastic` begins another resampling.

    Deformations at the head of the list can look beyond the patch: `margin` says how far, and the
    batch's ``wide`` holds what is there.

    Args:
        transforms: in order.
        masked: channels whose zeros are no measurement, as around a stripped skull: they are zero
            again after intensities have changed (nnU-Net's rule where it normalises inside a mask).
    """

    def __init__(self, transforms: Sequence[BatchTransform], *, masked: Sequence[int] = ()) -> None:
        self.transforms = list(transforms)
        self.masked = list(masked)
        self._streams = streams([type(t).__name__ for t in self.transforms])
        self._groups = list(_groups(self.transforms))

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> list:
        """Draw for each transform; `make_params` is what a batch goes through."""
        seed = int(rng.integers(2**63))
        return [self._draw(number, seed, shape) for number in range(len(self.transforms))]

    def margin(self, seed: int, shape: Sequence[int]) -> tuple[tuple[int, int], ...] | None:
        """Give the voxels that a sample wants before and after its patch, per spatial axis.

        At most half the patch on each side; ``None``: none at all.

        Args:
            seed: of the sample.
            shape: of the patch ``(C, *S)``.
        """
        if not self._groups or not isinstance(self.transforms[0], SpatialTransform):
            return None
        own = int(generator(int(seed)).integers(2**63))
        drawn = [self._draw(number, own, shape) for number in self._groups[0]]
        parts = [part for part in drawn if part is not None]
        if not parts:
            return None
        reach = fuse(parts).reach(shape[1:])
        wanted = tuple(
            (min(low, n // 2), min(high, n // 2))
            for (low, high), n in zip(reach, shape[1:], strict=True)
        )
        return wanted if any(low or high for low, high in wanted) else None

    def apply(
        self,
        image: Tensor,
        label: Tensor | None,
        params: Sequence[list | None],
        wide: Sequence[Wide | None] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Apply one transform after the other; ``wide`` serves deformations at the head."""
        # A copy is made once; from then on intensities change in place.
        private = False
        for group in self._groups:
            transform = self.transforms[group[0]]
            chosen = [[None if p is None else p[number] for number in group] for p in params]
            if all(part is None for parts in chosen for part in parts):
                pass
            elif isinstance(transform, SpatialTransform):
                warps = [_fused(parts) for parts in chosen]
                image, label = warp_batch(image, label, warps, wide if group[0] == 0 else None)
                private = True
            elif isinstance(transform, IntensityTransform):
                image = image if private else image.clone()
                private = True
                for one, parts in zip(image, chosen, strict=True):
                    self._change(one, group, parts)
            else:
                image, label = transform.apply(image, label, [part for (part,) in chosen])
                private = False
        return image, label

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Batch:
        """Augment a batch; image and label keep shape, type and device, ``wide`` is used up."""
        params = self.make_params(batch.seeds, batch.image.shape[1:])
        image, label = self.apply(batch.image.float(), batch.label, params, batch.wide)
        done = self._moved(batch, params)
        return done._replace(image=image.to(batch.image.dtype), label=label, wide=None)

    def move(self, boxes: Boxes, params: list | None, shape: Sequence[int]) -> Boxes:
        """Move the boxes of one sample ``(*S)`` as `apply` moves its voxels.

        Raises:
            InputError: see `medseg.data.feed.boxes.warp_boxes`.
        """
        if params is None:
            return boxes
        for group in self._groups:
            parts = [params[number] for number in group]
            if isinstance(self.transforms[group[0]], SpatialTransform):
                warp = _fused(parts)
                boxes = boxes if warp is None else warp_boxes(boxes, warp, shape)
                continue
            for number, part in zip(group, parts, strict=True):
                boxes = self.transforms[number].move(boxes, part, shape)
        return boxes

    def _change(self, image: Tensor, group: Sequence[int], parts: Sequence[Any]) -> None:
        if all(part is None for part in parts):
            return
        empty = [(channel, image[channel] == 0) for channel in self.masked]
        for number, part in zip(group, parts, strict=True):
            transform = self.transforms[number]
            if part is not None and isinstance(transform, IntensityTransform):
                transform.change(image, part)
        for channel, zeros in empty:
            image[channel].masked_fill_(zeros, 0)

    def _draw(self, number: int, seed: int, shape: Sequence[int]) -> Any:
        rng = generator(mix(seed, self._streams[number]))
        return self.transforms[number].draw(rng, shape)


def _fused(parts: Sequence[Any]) -> Any:
    drawn = [part for part in parts if part is not None]
    return fuse(drawn) if drawn else None


def _groups(transforms: Sequence[BatchTransform]) -> Iterator[list[int]]:
    """Yield the numbers of transforms that are applied together: neighbours of one kind."""
    group: list[int] = []
    for number, transform in enumerate(transforms):
        before = [transforms[n] for n in group]
        joins = any(
            all(isinstance(t, kind) for t in [*before, transform])
            for kind in (SpatialTransform, IntensityTransform)
        )
        twice = isinstance(transform, Elastic) and any(isinstance(t, Elastic) for t in before)
        if group and (not joins or twice):
            yield group
            group = []
        group = [*group, number]
    if group:
        yield group
