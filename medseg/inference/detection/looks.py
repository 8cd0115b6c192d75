"""Look at an image through overlapping windows, and make one box of what several looks found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from medseg.detection.decoding import Found
from medseg.geometry.box_overlap import intersections, volumes
from medseg.geometry.clustering import Clustered, weighted_clusters
from medseg.inference.window import box_of, pad_to_patch, window_starts

# Pairs that are in memory at once: of many thousand boxes all would be gigabytes.
_PAIRS = 2**22
# How near to the border of its window, in windows, a box counts as cut by it.
_NEAR = 1 / 32
# What the box of a cut object counts, beside one of the whole.
_OF_CUT = 0.01


Find = Callable[[Tensor], Sequence[Found]]
"""From windows ``(B, C, *patch)`` to what is in each."""


class Looks(NamedTuple):
    """What all looks at one image found, in voxel edges of the image.

    Attributes:
        boxes, scores, classes: as of `medseg.detection.decoding.Found`.
        looks: ``(N,)``, number of the look that found each.
        weights: ``(N,)``, how far each is to be trusted.
        cut: ``(N,)``, whether it ends at the border of its window, where the image goes on.
        windows: corners ``(L, 2n)`` of what each look saw.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    looks: Tensor
    weights: Tensor
    cut: Tensor
    windows: Tensor


@dataclass(frozen=True)
class BoxWindow:
    """Find objects in an image that is larger than a network's patch.

    Attributes:
        patch_size: voxels per axis of a window.
        overlap: the fraction of a window that its neighbour shares, in [0, 1).
        batch_size: windows per forward pass.
        mirror_axes: spatial axes to flip: every combination is one more look at each window.
        threshold: IoU from which boxes of several looks show one object.
        least: the part of a box that a window must hold to count as one that should have found it,
            as in training (`medseg.data.feed.boxes.visible_boxes`).
        most_voxels: a window is stretched to see all of an image along as many axes as it can with
            so many voxels: fewer looks. 0: windows are patches.
        divisor: what a window must be divisible by, per axis, to be stretched.
        limit: boxes that are kept of an image, the best.
    """

    patch_size: Sequence[int]
    overlap: float = 0.5
    batch_size: int = 1
    mirror_axes: Sequence[int] = ()
    threshold: float = 0.2
    least: float = 0.5
    most_voxels: int = 0
    divisor: Sequence[int] = ()
    limit: int = 300

    def __call__(
        self,
        finds: Sequence[Find],
        image: Tensor,
        *,
        device: torch.device | str | None = None,
    ) -> Found:
        """Return the boxes in an image ``(C, *S)``, in its voxel edges, best first.

        Args:
            finds: one or several networks, all of which look at every window.
            image: padded with zeros where it is smaller than the patch.
            device: where windows are run, if not where ``image`` lies.
        """
        looks = self.look(finds, image, device=device)
        merged = self.merge(looks)
        size = torch.tensor([*image.shape[1:]] * 2, device=merged.corners.device)
        boxes = torch.minimum(merged.corners.clamp(min=0), size)
        n = len(self.patch_size)
        there = (boxes[:, n:] > boxes[:, :n]).all(dim=1)
        kept = torch.nonzero(there)[: self.limit, 0]  # best first
        return Found(boxes[kept], merged.scores[kept], merged.classes[kept])

    def look(
        self,
        finds: Sequence[Find],
        image: Tensor,
        *,
        device: torch.device | str | None = None,
    ) -> Looks:
        """Run every network over every window and mirror image."""
        patch = self._window(image.shape[1:])
        device = torch.device(device) if device is not None else image.device
        padded, inner = pad_to_patch(image[None], patch)
        before = torch.tensor([part.start for part in inner])
        starts = window_starts(tuple(padded.shape[2:]), patch, self.overlap)
        size = torch.tensor(patch)
        found: list[tuple[Found, int]] = []
        windows: list[Tensor] = []
        # Windows that are larger than a patch are run fewer at a time.
        at_once = max(1, self.batch_size * prod(self.patch_size) // prod(patch))
        for first in range(0, len(starts), at_once):
            chunk = starts[first : first + at_once]
            batch = torch.stack([padded[0][box_of(start, patch)] for start in chunk]).to(device)
            for find in finds:
                for axes in self._flips():
                    results = find(batch.flip([axis + 2 for axis in axes]) if axes else batch)
                    for start, one in zip(chunk, results, strict=True):
                        shift = torch.tensor(start) - before
                        found.append((_placed(_unflipped(one, axes, patch), shift), len(windows)))
                        windows.append(torch.cat([shift, shift + size]))
        return self._gathered(found, torch.stack(windows).float(), patch, image.shape[1:])

    def merge(self, looks: Looks) -> Found:
        """Cluster what the looks found; a look that saw a place and found nothing counts, too.

        A box that is cut by its window hardly moves the mean. One that only such looks found, and
        that lies mostly in a surer box of its class, is a part of that object.
        """
        merged = weighted_clusters(
            looks.boxes,
            looks.scores,
            threshold=self.threshold,
            classes=looks.classes,
            weights=looks.weights * torch.where(looks.cut, _OF_CUT, 1.0),
            looks=looks.looks,
            expected=seen_by(looks.boxes, looks.windows, least=self.least),
        )
        kept = torch.zeros(len(merged.boxes), dtype=torch.bool)
        kept[merged.members[~looks.cut]] = True
        cut = torch.nonzero(~kept)[:, 0]
        kept[cut] = ~_within_surer(merged, cut)
        return Found(merged.boxes[kept], merged.scores[kept], merged.classes[kept])

    def _window(self, image: Sequence[int]) -> tuple[int, ...]:
        """Return the voxels of a window per axis, stretched where that takes in the whole image."""
        window = [int(n) for n in self.patch_size]
        whole = [-(-n // d) * d for n, d in zip(image, self.divisor or window, strict=True)]
        # First the axis along which least is missing.
        for axis in sorted(range(len(window)), key=lambda axis: whole[axis] / window[axis]):
            longer = [*window[:axis], max(whole[axis], window[axis]), *window[axis + 1 :]]
            if prod(longer) <= self.most_voxels:
                window = longer
        return tuple(window)

    def _flips(self) -> list[tuple[int, ...]]:
        axes = tuple(self.mirror_axes)
        return [c for count in range(len(axes) + 1) for c in combinations(axes, count)]

    def _gathered(
        self,
        found: Sequence[tuple[Found, int]],
        windows: Tensor,
        patch: Sequence[int],
        image: Sequence[int],
    ) -> Looks:
        boxes = torch.cat([one.corners for one, _ in found])
        looks = torch.cat([torch.full((len(one.corners),), number) for one, number in found])
        seen = windows[looks]
        return Looks(
            boxes,
            torch.cat([one.scores for one, _ in found]),
            torch.cat([one.classes for one, _ in found]),
            looks,
            trust(boxes - seen[:, : len(patch)].repeat(1, 2), patch),
            _cut(boxes, seen, image),
            windows,
        )


def stretching(network: nn.Module, patch_size: Sequence[int], batch_size: int) -> dict[str, Any]:
    """Return the options of `BoxWindow` for networks of ours, which take windows of any size.

    Windows grow to as many voxels as the patches of a training step have together, which took more
    memory.
    """
    divisor = getattr(network, "divisor", None)
    if divisor is None:
        return {}
    return {"most_voxels": batch_size * prod(patch_size), "divisor": tuple(divisor)}


def trust(boxes: Tensor, patch: Sequence[int]) -> Tensor:
    """Weigh boxes ``(N, 2n)`` of a window by how close to its middle they are, in ``(0, 1]``.

    The mean over axes of a Gaussian about the middle with a standard deviation of 0.8 half windows
    (Jaeger et al., Retina U-Net, ML4H 2020).
    """
    n = len(patch)
    half = torch.tensor(patch, dtype=boxes.dtype) / 2
    away = ((boxes[:, :n] + boxes[:, n:]) / 2 - half) / (0.8 * half)
    return torch.exp(-0.5 * away**2).mean(dim=1)


def seen_by(boxes: Tensor, windows: Tensor, *, least: float) -> Tensor:
    """Count for each box ``(N,)`` the windows ``(L, 2n)`` that hold at least the part ``least``."""
    n = boxes.shape[1] // 2
    counts = [torch.zeros(0, dtype=torch.int64)]
    for some in boxes.split(max(1, _PAIRS // max(1, len(windows)))):
        part = torch.ones(len(some), len(windows))
        for axis in range(n):
            low = torch.maximum(some[:, None, axis], windows[None, :, axis])
            high = torch.minimum(some[:, None, n + axis], windows[None, :, n + axis])
            length = (some[:, n + axis] - some[:, axis]).clamp(min=1e-6)
            part *= (high - low).clamp(min=0) / length[:, None]
        counts.append((part >= least).sum(dim=1))
    return torch.cat(counts)


def _cut(boxes: Tensor, windows: Tensor, image: Sequence[int]) -> Tensor:
    """Tell of boxes ``(N, 2n)`` whether their window ``(N, 2n)`` ends there, and not the image."""
    n = len(image)
    size = torch.tensor([*image], dtype=boxes.dtype)
    near = (windows[:, n:] - windows[:, :n]) * _NEAR
    low = (boxes[:, :n] < windows[:, :n] + near) & (windows[:, :n] > 0)
    high = (boxes[:, n:] > windows[:, n:] - near) & (windows[:, n:] < size)
    return (low | high).any(dim=1)


def _within_surer(found: Clustered, which: Tensor) -> Tensor:
    """Tell of some boxes ``(N,)``, by number, whether most of each lies in a surer of its class."""
    boxes, classes = found.boxes, found.classes
    inside = [torch.zeros(0, dtype=torch.bool)]
    for some in which.split(max(1, _PAIRS // max(1, len(boxes)))):
        part = intersections(boxes[some], boxes) / volumes(boxes[some]).clamp(min=1e-6)[:, None]
        surer = torch.arange(len(boxes))[None, :] < some[:, None]
        alike = classes[some, None] == classes[None, :]
        inside.append(((part > 0.5) & surer & alike).any(dim=1))
    return torch.cat(inside)


def _unflipped(found: Found, axes: Sequence[int], patch: Sequence[int]) -> Found:
    """Bring what was found in a mirrored window back."""
    boxes = found.corners.cpu().float()
    n = len(patch)
    for axis in axes:
        boxes = boxes.clone()
        low, high = patch[axis] - boxes[:, n + axis], patch[axis] - boxes[:, axis]
        boxes[:, axis], boxes[:, n + axis] = low, high
    return Found(boxes, found.scores.cpu().float(), found.classes.cpu())


def _placed(found: Found, shift: Tensor) -> Found:
    return found._replace(corners=found.corners + shift.repeat(2))
