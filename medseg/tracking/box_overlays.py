"""A picture of what a detector found in a case: the slices that tell most of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medseg.geometry.box_iou import box_iou
from medseg.geometry.boxes import Boxes
from medseg.tracking.box_pictures import BoxPicture, Rectangle, rectangles
from medseg.tracking.overlays import enlarged, in_grey, upright

# The smallest overlap that average precision counts as a hit.
_HIT = 0.1
# Of hundreds of boxes that a detector is hardly sure of, a picture shows the best.
_SHOWN_FROM, _SHOWN = 0.1, 20


def box_overlay(
    image: np.ndarray,
    target: Boxes | None,
    preds: Boxes,
    *,
    classes: Sequence[str] = (),
    channels: int = 4,
    size: int = 256,
) -> BoxPicture:
    """Show the slices through the object that was found best and through the worst mistake.

    Pictures (2D) are shown whole. The surest predictions with a score of at least 0.1 are on it, 20
    at most. Axes as of `medseg.tracking.overlay`.

    Args:
        image: ``(C, I, J, K)`` or ``(C, I, J)``, any scale.
        target: what should be found; class -1 counts neither way; ``None``: it is not known.
        preds: with scores.
        classes: names.
        channels: how many channels to show at most, side by side; slices stand below each other.
        size: small slices are enlarged by a whole factor towards this many pixels.
    """
    target = Boxes.none(preds.ndim) if target is None else target
    slices = telling_slices(preds, target, image.shape[-1]) if preds.ndim == 3 else ()
    return picture_of(
        image[:channels], _shown(preds), target, classes=classes, slices=slices, size=size
    )


def telling_slices(preds: Boxes, target: Boxes, depth: int) -> list[int]:
    """Return the slices through the best found object and the worst mistake, each once.

    An object is as well found as the surest box is that overlaps it (IoU of 0.1 or more, same
    class). The worst mistake is the object that is found worst, or a box on nothing that is surer
    of itself than that one is missed. Without any box it is the middle slice.

    Args:
        preds: boxes of a volume, with scores.
        target: what should be found.
        depth: slices of the volume.
    """
    overlap = box_iou(preds.corners, target.corners)
    same = preds.classes[:, None] == target.classes[None]
    # What counts neither way may be found under any name.
    hits = (overlap >= _HIT) & (same | (target.classes < 0)[None])
    scores = np.ones(len(preds)) if preds.scores is None else preds.scores
    sure = np.where(hits, scores[:, None], 0).max(axis=0, initial=0)[target.classes >= 0]
    objects = target[target.classes >= 0]
    wrong = np.flatnonzero(~hits.any(axis=1))
    # Rows: a middle, and how wrong what lies there is.
    middles = np.concatenate([objects.centres[:, -1], preds.centres[wrong, -1]])
    errors = np.concatenate([1 - sure, scores[wrong]])
    chosen = [] if not len(objects) else [middles[sure.argmax()]]
    chosen += [middles[errors.argmax()]] if len(errors) else []
    slices = [_slice_at(middle, depth) for middle in chosen] or [depth // 2]
    return list(dict.fromkeys(slices))


def picture_of(
    image: np.ndarray,
    preds: Boxes,
    target: Boxes,
    *,
    classes: Sequence[str] = (),
    slices: Sequence[int] = (),
    size: int = 256,
    window: tuple[float, float] | None = None,
) -> BoxPicture:
    """Show boxes on a picture ``(C, I, J)``, or on slices of a volume ``(C, I, J, K)``.

    Args:
        image: any scale.
        preds: boxes of it; shown on a slice are those that hold its middle.
        target: likewise, the reference.
        classes: names.
        slices: numbers along the last axis, which stand below each other.
        size: small slices are enlarged by a whole factor towards this many pixels.
        window: see `medseg.tracking.overlays.in_grey`.
    """
    if image.ndim - 1 != preds.ndim or preds.ndim != target.ndim:
        raise ValueError(f"{image.shape} has not the axes of boxes in {preds.ndim}D")
    planes = [(image, preds, target)]
    if preds.ndim == 3:
        planes = [_slice_of(image, preds, target, k) for k in slices]
    factor = max(1, size // max(planes[0][0].shape[1:]))
    rows: list[np.ndarray] = []
    drawn: list[Rectangle] = []
    for plane, found, there in planes:
        height, width = plane.shape[1:]
        tiles = [in_grey(enlarged(channel, factor), window) for channel in plane]
        on_tile = rectangles(there, reference=True, factor=factor, shape=(height, width))
        on_tile += rectangles(found, factor=factor, shape=(height, width))
        down = sum(len(row) for row in rows)
        for column in range(len(tiles)):
            drawn += [one.moved(down, column * width * factor) for one in on_tile]
        rows.append(np.concatenate(tiles, axis=1))
    plain = np.concatenate(rows).round().astype(np.uint8)
    return BoxPicture(plain, tuple(drawn), tuple(classes))


def middle_slices(boxes: Boxes, depth: int) -> list[int]:
    """Return the slice through the middle of each box of a volume, each once, in their order.

    Boxes that lie outside have none; the middle of one that reaches in is brought inside.
    """
    inside = (boxes.upper[:, -1] > 0) & (boxes.lower[:, -1] < depth)
    return list(dict.fromkeys(_slice_at(k, depth) for k in boxes.centres[inside, -1]))


def _slice_of(
    image: np.ndarray, preds: Boxes, target: Boxes, k: int
) -> tuple[np.ndarray, Boxes, Boxes]:
    """Cut a slice out of a volume, upright, with the boxes on it."""
    shape = image.shape[1:3]
    return upright(image[..., k]), _on_slice(preds, k, shape), _on_slice(target, k, shape)


def _on_slice(boxes: Boxes, k: int, shape: Sequence[int]) -> Boxes:
    """Return the boxes that hold the middle of slice ``k`` as boxes of the upright picture."""
    low, high = boxes.lower[:, 2], boxes.upper[:, 2]
    # A box between the middles of two slices is on the one that its own middle lies in.
    there = ((low <= k + 0.5) & (high > k + 0.5)) | (np.floor((low + high) / 2) == k)
    i0, j0, _, i1, j1, _ = boxes.corners[there].T
    corners = np.stack([shape[1] - j1, shape[0] - i1, shape[1] - j0, shape[0] - i0], axis=1)
    scores = None if boxes.scores is None else boxes.scores[there]
    return Boxes(corners, boxes.classes[there], scores)


def _slice_at(middle: float, depth: int) -> int:
    return int(np.clip(np.floor(middle), 0, depth - 1))


def _shown(preds: Boxes) -> Boxes:
    if preds.scores is None:
        return preds
    best = np.argsort(-preds.scores, kind="stable")[:_SHOWN]
    return preds[best[preds.scores[best] >= _SHOWN_FROM]]
