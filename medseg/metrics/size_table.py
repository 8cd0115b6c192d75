"""How a detector does on small, medium and large objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from medseg.metrics.average_precision import average_precision_of
from medseg.metrics.detection_case import DetectionCase
from medseg.metrics.froc import LUNA16_FPS, Froc, froc_of
from medseg.metrics.hits import CentreHit, HitRule, IouHit
from medseg.metrics.tally import LIMIT, tally


@dataclass(frozen=True, eq=False)
class SizeRow:
    """Scores of the objects of some sizes.

    Attributes:
        smallest, below: diameters in mm (see `box_diameters`), the second excluded.
        n: objects.
        found: part of them that was found at any score; NaN if there are none.
        froc: their sensitivities at the false positives of all sizes: a false alarm has no true
            size, and a reader meets them all.
        ap: average precision, counted as COCO does by sizes: objects of other sizes are ignored,
            and so are false positives that are of other sizes themselves.
    """

    smallest: float
    below: float
    n: int
    found: float
    froc: Froc
    ap: float


def size_table(
    cases: Sequence[DetectionCase],
    *,
    edges: Sequence[float] | None = None,
    hit: HitRule | None = None,
    iou: float = 0.5,
    label: int = 0,
    fps: Sequence[float] = LUNA16_FPS,
    limit: int | None = LIMIT,
) -> list[SizeRow]:
    """Return one row per range of sizes, from small to large.

    Args:
        cases: see `froc`.
        edges: rising diameters in mm that part the ranges: ``(6, 10)`` gives below 6, 6 to 10, and
            from 10. ``None``: the tertiles of the objects there are; without any, one range.
        hit: rule of `found` and `froc`; default `CentreHit`.
        iou: of `ap`.
        label: index of the class.
        fps: false positives per case at which to read the curve.
        limit: predictions of a case that are looked at.

    Raises:
        ValueError: the edges do not rise from above 0.
    """
    sizes = [_counted_sizes(case.of_class(label)) for case in cases]
    parts = tertiles(np.concatenate([*sizes, np.zeros(0)])) if edges is None else list(edges)
    bounds = [0.0, *map(float, parts), np.inf]
    if (np.diff(bounds) <= 0).any():
        raise ValueError(f"edges of sizes must rise from above 0, not {parts}")
    whole = tally(cases, hit or CentreHit(), label=label, limit=limit)
    rows = []
    for smallest, below in pairwise(bounds):
        counts = [int(((of >= smallest) & (of < below)).sum()) for of in sizes]
        part = whole.of_objects(smallest, below, np.array(counts, dtype=np.int64))
        exact = tally(cases, IouHit(iou), label=label, limit=limit, sizes=(smallest, below))
        n = sum(counts)
        found = int(part.hits.sum()) / n if n else np.nan
        ap = average_precision_of(exact)
        rows.append(SizeRow(smallest, below, n, found, froc_of(part, fps=fps), ap))
    return rows


def tertiles(diameters: np.ndarray) -> list[float]:
    """Return the two diameters that part objects into thirds; fewer where sizes are the same."""
    if not len(diameters):
        return []
    edges = np.unique(np.quantile(diameters, (1 / 3, 2 / 3)))
    # An edge at the smallest size would have no objects below it.
    return edges[edges > diameters.min()].tolist()


def _counted_sizes(case: DetectionCase) -> np.ndarray:
    return case.reference_diameters[~case.ignored]
