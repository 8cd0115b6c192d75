"""Anchors that fit boxes: k-means with IoU for distance, then a search for the best IoU."""

from __future__ import annotations

import numpy as np

from medseg.errors import InputError

# A few hundred boxes say what thousands would.
_SAMPLE = 1000
_STARTS = 8
_ROUNDS = 50
_SEED = 0


def concentric_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return IoU ``(N, M)`` of boxes of sizes ``(N, n)`` and ``(M, n)`` about one centre."""
    common = np.minimum(first[:, None], second[None]).prod(axis=2)
    return common / (first.prod(axis=1)[:, None] + second.prod(axis=1)[None] - common)


def mean_best_iou(sizes: np.ndarray, anchors: np.ndarray) -> float:
    """Return the mean over boxes ``(N, n)`` of their IoU with the best of anchors ``(M, n)``."""
    return float(concentric_iou(sizes, anchors).max(axis=1).mean())


def fit_anchors(sizes: np.ndarray, scales: np.ndarray, count: int) -> np.ndarray:
    """Return sizes ``(count, n)`` of the finest level's anchors, smallest volume first.

    They maximise the mean best IoU with boxes, over the anchors of all levels, as nnDetection's do.
    Its differential evolution is replaced by k-means, whose clusters are the boxes that an anchor
    fits best at some level (Redmon & Farhadi, YOLO9000, CVPR 2017), and a local search from the
    best of several starts. With a seed of its own, so boxes alone decide.

    Args:
        sizes: of boxes, voxels ``(N, n)``.
        scales: by which the anchors grow from level to level, per axis ``(L, n)``; first ones.
        count: anchors at each place.

    Raises:
        InputError: ``count`` is below 1.
    """
    if count < 1:
        raise InputError("a detector needs an anchor at each place", found=str(count))
    rng = np.random.default_rng(_SEED)
    if len(sizes) > _SAMPLE:
        sizes = sizes[np.sort(rng.choice(len(sizes), _SAMPLE, replace=False))]
    found = [_clustered(sizes, scales, _start(sizes, scales, count, rng)) for _ in range(_STARTS)]
    best = max(found, key=lambda anchors: _quality(sizes, scales, anchors))
    best = _searched(sizes, scales, best)
    return best[np.argsort(best.prod(axis=1), kind="stable")]


def _quality(sizes: np.ndarray, scales: np.ndarray, anchors: np.ndarray) -> float:
    return mean_best_iou(sizes, (scales[:, None] * anchors).reshape(-1, sizes.shape[1]))


def _start(
    sizes: np.ndarray, scales: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Take sizes of boxes, as seen at levels drawn at random."""
    boxes = sizes[rng.choice(len(sizes), count, replace=len(sizes) < count)]
    return boxes / scales[rng.integers(len(scales), size=count)]


def _clustered(sizes: np.ndarray, scales: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    levels, count = len(scales), len(anchors)
    before = None
    for _ in range(_ROUNDS):
        everywhere = (scales[:, None] * anchors).reshape(levels * count, -1)
        owner = concentric_iou(sizes, everywhere).argmax(axis=1)
        if before is not None and np.array_equal(owner, before):
            break
        before = owner
        seen = sizes / scales[owner // count]
        anchors = np.stack(
            [
                np.median(seen[owner % count == k], axis=0) if (owner % count == k).any() else old
                for k, old in enumerate(anchors)
            ]
        )
    return anchors


def _searched(sizes: np.ndarray, scales: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Climb from ``anchors``, in logarithms of the sizes, which stay positive."""
    from scipy.optimize import minimize

    result = minimize(
        lambda logs: -_quality(sizes, scales, np.exp(logs).reshape(anchors.shape)),
        np.log(anchors).ravel(),
        method="Powell",
        options={"xtol": 1e-3, "ftol": 1e-5, "maxiter": 20},
    )
    return np.exp(result.x).reshape(anchors.shape)
