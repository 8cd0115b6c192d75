"""Panoptic quality of the outlines beside boxes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medseg.data.case import Dataset
from medseg.data.prepare.reference_outlines import reference_outlines
from medseg.inference.detection.found_file import read_boxes
from medseg.inference.detection.outline_file import outlines_beside, read_outlines
from medseg.metrics.cells import cell
from medseg.metrics.evaluate import json_safe
from medseg.metrics.known_mean import known_mean
from medseg.metrics.panoptic import Panoptic, panoptic


def score_outlines(found: Mapping[str, Path], dataset: Dataset) -> dict[str, Any] | None:
    """Score the cases that have outlines; ``None`` where none has, or the data set has none.

    Args:
        found: case id -> file of boxes; ``medseg predict --instances`` writes outlines beside.
        dataset: has the references.

    Returns:
        Plain containers: ``cases``, ids of those that were scored; ``per_class``: ``pq``, ``sq``,
        ``rq``, ``tp``, ``fp`` and ``fn`` of all cases together; ``mean`` of the first three over
        the classes that have a value.

    Raises:
        InputError: a map, its table or a reference cannot be read, or they do not go together.
    """
    classes = dataset.labels.foreground
    counts = [Panoptic() for _ in classes]
    scored = []
    for case in dataset.cases:
        files = outlines_beside(found[case.id]) if case.id in found else None
        if files is None:
            continue
        grid = read_boxes(found[case.id]).grid
        reference = reference_outlines(case, dataset, grid)
        if reference is None:
            continue
        maps = read_outlines(*files, grid, classes=classes)
        counts = [
            total + panoptic(mine, theirs, void=reference.void)
            for total, mine, theirs in zip(counts, maps, reference.maps, strict=True)
        ]
        scored.append(case.id)
    if not scored:
        return None
    per_class = {
        name: {
            "pq": of.pq,
            "sq": of.sq,
            "rq": of.rq,
            "tp": of.tp,
            "fp": of.fp,
            "fn": of.fn,
        }
        for name, of in zip(classes, counts, strict=True)
    }
    mean = {
        key: float(known_mean([row[key] for row in per_class.values()]))
        for key in ("pq", "sq", "rq")
    }
    return json_safe({"cases": scored, "per_class": per_class, "mean": mean})


def outline_rows(scores: Mapping[str, Any]) -> list[list[str]]:
    """Return the rows of a table to print: a header, one row per class, the mean.

    Args:
        scores: what `score_outlines` returned.
    """
    rows = [["class", "PQ", "SQ", "RQ", "found", "false", "missed"]]
    for name, row in [*scores["per_class"].items(), ("mean", scores["mean"])]:
        values = [row[key] for key in ("pq", "sq", "rq")]
        cells = [*map(cell, values)]
        rows.append([name, *cells, *(str(row.get(key, "")) for key in ("tp", "fp", "fn"))])
    return rows
