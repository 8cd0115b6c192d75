"""From what a network without anchors says to the boxes of a tile."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from medseg.detection.decoding import Found, best
from medseg.detection.output import DetectionOutput, at_least_single

_MAX_POOL: dict[int, Callable[..., Tensor]] = {2: functional.max_pool2d, 3: functional.max_pool3d}


@torch.no_grad()
def boxes_at_peaks(
    output: DetectionOutput,
    stride: Sequence[int],
    *,
    image: int = 0,
    size: Sequence[int] | None = None,
    score: float = 0.02,
    top: int = 1000,
    nms: float | None = None,
    limit: int = 300,
) -> Found:
    """Return the boxes around the peaks of one image's maps of centres.

    A peak is a place whose score none of its neighbours, corners too, surpasses (Zhou et al.,
    Objects as Points, arXiv 1904.07850); neighbours that are equal are peaks both.

    Args:
        output: of a network without anchors: one level, see `centre_targets` for its values.
        stride: voxels from place to place, per axis.
        image: its number in the batch.
        size: voxels per axis to which boxes are clipped; ``None``: they are not.
        score: boxes of lower scores are dropped.
        top: peaks that are looked at.
        nms: of boxes of one class that overlap by more than this IoU the best is kept; ``None``:
            all are, as in the paper.
        limit: boxes that are kept in the end.
    """
    scores = at_least_single(output.class_logits[0][image]).sigmoid()
    values = at_least_single(output.box_deltas[0][image])
    shape, n = scores.shape[1:], scores.ndim - 1
    highest = _MAX_POOL[n](scores[None], kernel_size=3, stride=1, padding=1)[0]
    peaks = torch.where(scores == highest, scores, -1.0).flatten(1)
    heights, chosen = peaks.flatten().topk(min(top, peaks.numel()))
    enough = heights >= score
    heights, chosen = heights[enough], chosen[enough]
    places = chosen % peaks.shape[1]

    offset, extent = values.flatten(1)[:, places].T.chunk(2, dim=1)
    steps = torch.tensor(tuple(stride), device=scores.device).to(values)
    index = torch.stack(torch.unravel_index(places, shape), dim=1)
    centres, half = (index + offset) * steps, extent.clamp(min=0) * steps / 2
    corners = torch.cat([centres - half, centres + half], dim=1)
    return best(Found(corners, heights, chosen // peaks.shape[1]), size=size, nms=nms, limit=limit)
