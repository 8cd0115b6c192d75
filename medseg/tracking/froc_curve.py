"""froc.png: how many objects a detector finds, and at the cost of how many false alarms."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from medseg.atomic import replacing
from medseg.metrics.detection_curves import as_floats, precision_recall


def draw_froc(metrics: Mapping[str, Any], path: Path | str) -> None:
    """Write a PNG of the free-response curves and of precision against recall, by class.

    Both are by the hit rule of ``metrics``. The bars are the confidence interval of the mean over
    classes. A class without objects is left out.

    Args:
        metrics: what `medseg.metrics.evaluate_detections` returned, or metrics.json.
        path: of the PNG.

    Raises:
        InputError: the file cannot be written.
    """
    # Not pyplot: it would choose a window system and keep figures alive.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _froc(left, metrics)
    _precision_recall(right, metrics)
    with replacing(Path(path)) as temporary:
        figure.savefig(temporary, format="png")


def _froc(axes: Any, metrics: Mapping[str, Any]) -> None:
    fps = np.array(metrics["fps"], dtype=np.float64)
    # Straight lines between corners bend on a logarithmic axis.
    along = np.union1d(np.geomspace(fps.min() / 2, fps.max() * 2, 200), fps)
    for number, (name, scores) in enumerate(_with_objects(metrics)):
        curve = scores["froc"]
        heights = np.interp(along, as_floats(curve["fps"]), as_floats(curve["sensitivity"]))
        axes.plot(along, heights, label=_label(name, scores["cpm"]), color=f"C{number}")
        axes.plot(fps, as_floats(scores["sensitivity"]), "o", markersize=4, color=f"C{number}")
    mean, ends = as_floats(metrics["mean"]["sensitivity"]), metrics["intervals"]
    low, high = (as_floats(ends[end]["sensitivity"]) for end in ("low", "high"))
    if np.isfinite([mean, low, high]).all():
        # A percentile of resamplings may lie on either side of what all cases give.
        bars = np.clip([mean - low, high - mean], 0, None)
        label = f"{_label('mean', metrics['mean']['cpm'])}, {ends['confidence']:.0%}"
        axes.errorbar(fps, mean, bars, fmt="_", color="black", alpha=0.6, capsize=3, label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(fps, [str(Fraction(value).limit_denominator(1000)) for value in fps])
    axes.set(
        xlabel="false positives per case",
        ylabel="sensitivity",
        xlim=(along[0], along[-1]),
        ylim=(0, 1.02),
    )
    _finish(axes, metrics, legend="lower right")


def _precision_recall(axes: Any, metrics: Mapping[str, Any]) -> None:
    for number, (name, _) in enumerate(_with_objects(metrics)):
        recall, precision = precision_recall(metrics, name)
        if len(recall):
            axes.plot(recall, precision, label=name, color=f"C{number}")
    axes.set(xlabel="recall (sensitivity)", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    _finish(axes, metrics, legend="lower left")


def _with_objects(metrics: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [pair for pair in metrics["per_class"].items() if pair[1]["n_references"]]


def _label(name: str, cpm: float | None) -> str:
    return name if cpm is None else f"{name}, CPM {cpm:.3f}"


def _finish(axes: Any, metrics: Mapping[str, Any], *, legend: str) -> None:
    # Where a good curve leaves room.
    axes.set_title(f"hits: {metrics['hit']}", fontsize="medium")
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc=legend)
