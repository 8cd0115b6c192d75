"""The tables of a detection's ``metrics.json`` on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medseg.inference.detection.kept_scores import kept_table
from medseg.metrics.cells import cell
from medseg.metrics.detection_curves import froc_table
from medseg.metrics.evaluate_detections import detection_table
from medseg.stages.reporter import Reporter
from medseg.stages.score_outlines import outline_rows


def show(report: Reporter, metrics: Mapping[str, Any]) -> None:
    """Print scores, sensitivities, sizes, folds, and what is kept."""
    header, *rows = detection_table(metrics)
    report.table("", header, rows)
    header, *rows = froc_table(metrics)
    report.table(f"sensitivity at false positives per case; hits: {metrics['hit']}", header, rows)
    header, *rows = size_rows(metrics)
    if rows:
        report.table("by size", header, rows)
    if len(metrics.get("folds", {})) > 1:
        header, *rows = fold_rows(metrics)
        report.table("mAP by fold", header, rows)
    if "panoptic" in metrics:
        header, *rows = outline_rows(metrics["panoptic"])
        report.table(f"outlines of {len(metrics['panoptic']['cases'])} cases", header, rows)
    kept = metrics.get("kept")
    if kept is None:
        return
    if "mean" not in kept:
        report.say(f"  which boxes are kept was not judged: {kept['note']}")
        return
    same = {"hand": "written by hand", "file": "the same for all cases"}
    how = same.get(kept["by"], f"each case by what {kept['by']} chose")
    header, *rows = kept_table(metrics)
    report.table(f"kept by detection.yaml, {how}", header, rows)


def size_rows(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Return the rows of a table by size: a header, one row per class and range of diameters."""
    rows = [["class", "mm", "objects", "found", "CPM", "AP 0.5"]]
    for name, scores in metrics["per_class"].items():
        for one in scores["sizes"]:
            if not one["n_references"]:
                continue
            upper = one["to_mm"]
            span = f"{one['from_mm']:.3g} – " + ("" if upper is None else f"{upper:.3g}")
            values = [one["found"], one["cpm"], one["ap_0.5"]]
            cells = [*map(cell, values)]
            rows.append([name, span.strip(), str(one["n_references"]), *cells])
    return rows


def fold_rows(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Return the rows of a table by fold: a header, one row per fold, all together."""
    rows = [["fold", *metrics["classes"], "mean", "CPM", "cases"]]
    for name, fold in [*metrics["folds"].items(), ("together", metrics)]:
        values = [fold["per_class"][label]["map"] for label in metrics["classes"]]
        values += [fold["mean"]["map"], fold["mean"]["cpm"]]
        cells = [*map(cell, values)]
        rows.append([name, *cells, str(fold["n_cases"])])
    return rows
