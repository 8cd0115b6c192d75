"""From what a network with anchors says to the boxes of a tile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from medseg.detection.box_coder import decode
from medseg.detection.output import DetectionOutput, at_least_single, in_anchor_order
from medseg.geometry.suppression import nms as suppress


class Found(NamedTuple):
    """Boxes of one tile, best first.

    Attributes:
        corners: float32 ``(N, 2n)``, in voxel edges of the tile.
        scores: float32 ``(N,)`` in ``[0, 1]``.
        classes: int64 ``(N,)``.
    """

    corners: Tensor
    scores: Tensor
    classes: Tensor


@torch.no_grad()
def boxes_of(
    output: DetectionOutput,
    anchors: Tensor,
    *,
    image: int = 0,
    size: Sequence[int] | None = None,
    score: float = 0.02,
    top: int = 1000,
    nms: float = 0.22,
    limit: int = 300,
) -> Found:
    """Return the boxes that a network has found in one image of a batch.

    An anchor may be a box of several classes. The defaults are those of MONAI's detector of lung
    nodules.

    Args:
        output: of a network with anchors.
        anchors: ``(M, 2n)``, see `AnchorGenerator`.
        image: its number in the batch.
        size: voxels per axis to which boxes are clipped; those wholly outside go. ``None``: boxes
            may reach out of the tile, as an object does that its border cuts.
        score: boxes of lower scores are dropped.
        top: boxes that are kept of each level before they are compared.
        nms: of boxes of one class that overlap by more than this IoU the best is kept.
        limit: boxes that are kept in the end.
    """
    count = output.anchors_per_place
    logits = in_anchor_order([level[image, None] for level in output.class_logits], count)
    deltas = in_anchor_order([level[image, None] for level in output.box_deltas], count)
    places = anchors.split([level.shape[1] for level in logits])
    parts = []
    for logit, delta, place in zip(logits, deltas, places, strict=True):
        scores = at_least_single(logit[0]).sigmoid()
        values, chosen = scores.flatten().topk(min(top, scores.numel()))
        chosen = chosen[values >= score]
        anchor = chosen // scores.shape[1]
        corners = decode(at_least_single(delta[0, anchor]), place[anchor])
        parts.append(Found(corners, values[values >= score], chosen % scores.shape[1]))
    return best(
        Found(*(torch.cat(values) for values in zip(*parts, strict=True))),
        size=size,
        nms=nms,
        limit=limit,
    )


def best(found: Found, *, size: Sequence[int] | None, nms: float | None, limit: int) -> Found:
    """Clip boxes to a tile of ``size`` and drop what overlaps a better box, or is too much."""
    if size is not None:
        limits = torch.tensor([*size, *size], device=found.corners.device).to(found.corners)
        found = found._replace(corners=found.corners.clamp(min=0).minimum(limits))
    lower, upper = found.corners.chunk(2, dim=1)
    found = _chosen(found, (upper > lower).all(dim=1))
    if nms is None:
        order = torch.argsort(found.scores, descending=True, stable=True)
    else:
        order = suppress(found.corners, found.scores, threshold=nms, classes=found.classes)
    return _chosen(found, order[:limit])


def _chosen(found: Found, which: Tensor) -> Found:
    return Found(*(values[which] for values in found))
