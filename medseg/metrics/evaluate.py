"""The content of metrics.json, from pairs of masks."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from medseg.errors import InputError
from medseg.labels import LabelScheme
from medseg.metrics.cells import cell
from medseg.metrics.overlap import Empty
from medseg.metrics.score import CaseScores, score_case, summarise

SCHEMA = 1

EMPTY_RULES: Mapping[Empty, str] = {
    "skip": "a class that neither prediction nor reference has is left out of the means",
    "one": "a class that neither prediction nor reference has counts as Dice 1, HD95 0",
}
ONE_EMPTY_RULE = (
    "a class that only one of them has counts as Dice 0; its HD95 is infinite, left out of the "
    "mean and counted in n_infinite"
)


def evaluate_pairs(
    pairs: Iterable[tuple[str, np.ndarray, np.ndarray, Sequence[float]]],
    scheme: LabelScheme,
    *,
    empty: Empty = "skip",
    folds: Mapping[str, Collection[str]] | None = None,
) -> dict[str, Any]:
    """Score pairs of masks and return what metrics.json holds.

    Args:
        pairs: ``(case id, prediction, reference, spacing in mm)``, masks as label indices; may be a
            generator, so that one case at a time is in memory.
        scheme: what the indices mean.
        empty: the rule for classes that neither mask has, see `score_case`.
        folds: name -> ids of the cases that it held out; each fold is summarised by itself, too.

    Returns:
        Plain containers without NaN: ``schema``, ``empty`` (``policy`` and its words), ``classes``,
        ``units``, ``cases`` (id -> class -> metric), ``per_class`` and ``mean`` (see `summarise`),
        and with ``folds`` the same two of each fold, beside the ids of its ``cases``.
        A value that is undefined is ``None``; where Dice is 0, an HD95 of ``None`` means infinite.

    Raises:
        InputError: a case occurs twice, or its masks do not fit together; the message names it.
    """
    if empty not in EMPTY_RULES:
        raise InputError(
            "there is no such rule for empty masks", expected="skip or one", found=repr(empty)
        )
    cases: dict[str, CaseScores] = {}
    for case, pred, ref, spacing in pairs:
        if case in cases:
            raise InputError(f"the case {case!r} occurs twice")
        try:
            cases[case] = score_case(pred, ref, scheme, spacing, empty=empty)
        except InputError as error:
            raise InputError(
                f"case {case!r}: {error.message}",
                file=error.file,
                expected=error.expected,
                found=error.found,
                remedy=error.remedy,
            ) from error
    return json_safe(
        {
            "schema": SCHEMA,
            "empty": {"policy": empty, "both": EMPTY_RULES[empty], "one": ONE_EMPTY_RULE},
            "classes": list(scheme.foreground),
            "units": {"hd95": "mm", "volume": "ml", "area": "mm2"},
            "n_cases": len(cases),
            "cases": cases,
            **summarise(cases),
            **({} if folds is None else {"folds": _by_fold(cases, folds)}),
        }
    )


def table(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Return the rows of a table to print: a header, one row per class, the mean.

    Args:
        metrics: what `evaluate_pairs` returned, or metrics.json.
    """
    rows = [["class", "Dice", "IoU", "HD95 (mm)", "cases", "skipped"]]
    for name, scores in metrics["per_class"].items():
        counts = scores["dice"]
        means = (scores[key]["mean"] for key in ("dice", "iou", "hd95"))
        rows.append([name, *_cells(*means), str(counts["n"]), str(counts["n_skipped"])])
    mean = metrics["mean"]
    rows.append(["mean", *_cells(*(mean.get(key) for key in ("dice", "iou", "hd95"))), "", ""])
    return rows


def fold_table(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Return the rows of a table of Dice by fold: a header, one row per fold, all together.

    Args:
        metrics: what `evaluate_pairs` returned for folds, or metrics.json.
    """
    rows = [["Dice", *metrics["classes"], "mean", "cases"]]
    for name, fold in [*metrics["folds"].items(), ("together", metrics)]:
        scores = [fold["per_class"].get(c, {}).get("dice", {}) for c in metrics["classes"]]
        values = [*(score.get("mean") for score in scores), fold["mean"].get("dice")]
        cells = [*map(cell, values)]
        rows.append([name, *cells, str(fold["n_cases"])])
    return rows


def json_safe(value: Any) -> Any:
    """Replace what JSON cannot hold: NaN and infinity by ``None``, NumPy numbers by Python's."""
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _by_fold(
    cases: Mapping[str, CaseScores], folds: Mapping[str, Collection[str]]
) -> dict[str, Any]:
    parts = {name: [case for case in cases if case in held] for name, held in folds.items()}
    return {
        name: {"n_cases": len(ids), "cases": ids, **summarise({case: cases[case] for case in ids})}
        for name, ids in parts.items()
        if ids
    }


def _cells(dice: float | None, iou: float | None, hd95: float | None) -> list[str]:
    formats = ((dice, ".4f"), (iou, ".4f"), (hd95, ".2f"))
    return [cell(value, form) for value, form in formats]
