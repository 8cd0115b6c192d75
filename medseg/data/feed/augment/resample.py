"""Apply a warp to an image and its label, in one resampling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from medseg.data.feed.augment.separable import stretch
from medseg.data.feed.augment.tiles import Tiles
from medseg.data.feed.augment.vote import Votes
from medseg.data.feed.augment.warp import Warp, coordinates
from medseg.data.feed.batch import Wide


def resample(region: Wide, warp: Warp, image: Tensor, label: Tensor | None) -> None:
    """Write what a warp shows of a region into ``image`` ``(C, *S)`` and ``label`` ``(N, *S)``.

    The image is read linearly, each map of the label by `Votes`; outside the region both are zero.
    """
    _read(region.image, warp, region.start, image)
    if label is not None and region.label is not None:
        for source, target in zip(region.label, label, strict=True):
            _poll(source, warp, region.start, target)


def _read(source: Tensor, warp: Warp, start: Sequence[int], image: Tensor) -> None:
    shape = image.shape[1:]
    tiled = len(shape) == 3 and source.device.type == "cpu"
    if tiled and warp.separable:
        origin, steps = warp.origin(shape, start), np.diag(warp.matrix)
        stretch(
            source,
            [f + np.arange(n) * s for n, f, s in zip(shape, origin, steps, strict=True)],
            image,
        )
        return
    reader = Tiles(source) if tiled else _Native(source)
    for slab, places in coordinates(
        warp, shape, source.shape[1:], start, source.device, units=reader.units
    ):
        reader.sample(places, image[:, slab])


def _poll(source: Tensor, warp: Warp, start: Sequence[int], label: Tensor) -> None:
    box = tuple(slice(0, n) for n in label.shape)
    if source.device.type == "cpu":
        # Where no foreground can be seen, nothing is asked; a GPU's would have to be awaited.
        label.zero_()
        window = _foreground(source)
        if window is None:
            return
        source = source[window]
        start = [first - w.start for first, w in zip(start, window, strict=True)]
        box = warp.shadow(label.shape, source.shape, start)
        if any(b.start >= b.stop for b in box):
            return
    votes = Votes(source)
    result = label.new_empty([b.stop - b.start for b in box])
    for slab, places in coordinates(warp, label.shape, source.shape, start, source.device, box=box):
        votes.sample(places, result[slab])
    votes.finish()
    label[box] = result


def _foreground(label: Tensor) -> tuple[slice, ...] | None:
    """Give the box of the non-zero voxels of a label ``(*R)`` on the CPU."""
    present, box = label.numpy(), []
    for _ in range(label.ndim):
        # Each extent from the projection onto its axis; the largest of bytes is quickly found.
        line = present.reshape(len(present), -1).max(axis=1) if present.ndim > 1 else present
        hits = np.flatnonzero(line)
        if not len(hits):
            return None
        box.append(slice(int(hits[0]), int(hits[-1]) + 1))
        present = present[box[-1]].max(axis=0)
    return tuple(box)


class _Native:
    """PyTorch's own sampling: in two dimensions, and on a GPU."""

    def __init__(self, image: Tensor) -> None:
        self.image = image[None]
        self.units = [(2 / n, -1 / n - 1) for n in image.shape[1:]]

    def sample(self, places: Sequence[Tensor], out: Tensor) -> None:
        """Write the values at `warp.coordinates` in ``units`` into ``out`` ``(C, n, …)``."""
        grid = torch.stack([place.expand(out.shape[1:]) for place in reversed(places)])
        read = F.grid_sample(self.image, grid.movedim(0, -1)[None], align_corners=False)
        out.copy_(read[0])
