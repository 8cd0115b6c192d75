"""The free-response and the precision–recall curve that a detection's metrics.json holds."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from medseg.metrics.cells import cell

# Between two corners of the curve, whose precision does not change along a straight line.
_BETWEEN = 8


def froc_table(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Return the rows of a table to print: sensitivities at the false positives per case, CPM.

    A header, one row per class, the mean, and the ends of its confidence interval.

    Args:
        metrics: what `evaluate_detections` returned, or metrics.json.
    """
    fps = [str(Fraction(value).limit_denominator(1000)) for value in metrics["fps"]]
    share = f"{metrics['intervals']['confidence']:.0%}"
    named = [
        *metrics["per_class"].items(),
        ("mean", metrics["mean"]),
        (f"{share} from", metrics["intervals"]["low"]),
        (f"{share} to", metrics["intervals"]["high"]),
    ]
    rows = [["class", *fps, "CPM"]]
    for name, scores in named:
        values = [*scores["sensitivity"], scores["cpm"]]
        rows.append([name, *map(cell, values)])
    return rows


def precision_recall(metrics: Mapping[str, Any], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return recall and precision ``(K,)`` of a class, by the hit rule of the free-response curve.

    They follow from its corners: hits are sensitivity · objects, false positives are their number
    per case · cases. Between corners both grow in proportion, so precision bends (Davis &
    Goadrich, ICML 2006). Empty without objects or without predictions.

    Args:
        metrics: what `evaluate_detections` returned, or metrics.json.
        name: of the class.
    """
    scores = metrics["per_class"][name]
    hits = as_floats(scores["froc"]["sensitivity"]) * scores["n_references"]
    wrong = as_floats(scores["froc"]["fps"]) * metrics["n_cases"]
    steps = np.linspace(0, len(hits) - 1, (len(hits) - 1) * _BETWEEN + 1)
    hits, wrong = (np.interp(steps, np.arange(len(hits)), along) for along in (hits, wrong))
    some = hits + wrong > 0
    if not scores["n_references"] or not some.any():
        return np.zeros(0), np.zeros(0)
    recall, precision = hits[some] / scores["n_references"], hits[some] / (hits + wrong)[some]
    return recall, precision


def as_floats(values: list[float | None]) -> np.ndarray:
    """Return numbers of a JSON file as an array, NaN for ``null``."""
    return np.array(values, dtype=np.float64)
