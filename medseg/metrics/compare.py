"""Two runs' metrics.json, compared over the cases that both have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from medseg.errors import InputError
from medseg.metrics.cells import cell
from medseg.metrics.evaluate import json_safe
from medseg.metrics.paired import compare_paired, holm

SCHEMA = 1
METRICS = {"dice": "higher", "iou": "higher", "hd95": "lower"}
"""What can be compared, and which is better."""

REFERENCES = ("volume_ref_ml", "area_ref_mm2")
"""Scores that depend on the reference alone; they always have a value."""

_MOST_NAMES = 10


def compare_metrics(
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    *,
    metric: str = "dice",
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare two runs by paired statistics, per class and overall; differences are B less A.

    Args:
        a: metrics.json of the first run, see `evaluate_pairs`.
        b: of the second.
        metric: a key of `METRICS`.
        confidence: of the bootstrap intervals.
        seed: of the bootstrap.

    Returns:
        Plain containers without NaN: ``schema``, ``metric``, ``better`` (higher or lower),
        ``confidence``, ``n_common``, ``only_a`` and ``only_b`` (``cases`` and ``classes`` that one
        run alone has), ``per_class`` and ``overall``: what `compare_paired` gives, and
        ``n_skipped``, the cases in which either run has no finite value. A class also has
        ``p_holm``, its ``p_wilcoxon`` corrected for the number of classes. ``overall`` compares
        each case's mean over the classes that both runs have a value of.

    Raises:
        InputError: the runs share no case or no class, were scored by different rules for empty
            masks, or against different references.
    """
    if metric not in METRICS:
        raise InputError(
            "there is no such metric to compare", expected=", ".join(METRICS), found=repr(metric)
        )
    cases = [case for case in a["cases"] if case in b["cases"]]
    classes = [name for name in a["classes"] if name in b["classes"]]
    _require_comparable(a, b, cases, classes)
    pairs = {name: [_pair(a, b, case, name, metric) for case in cases] for name in classes}
    options: dict[str, Any] = {"confidence": confidence, "seed": seed}
    per_class = {name: _compared(values, options) for name, values in pairs.items()}
    corrected = holm([row["p_wilcoxon"] for row in per_class.values()])
    for row, p in zip(per_class.values(), corrected, strict=True):
        row["p_holm"] = p
    overall = [_means([_pair(a, b, case, name, metric) for name in classes]) for case in cases]
    return json_safe(
        {
            "schema": SCHEMA,
            "metric": metric,
            "better": METRICS[metric],
            "confidence": confidence,
            "n_common": len(cases),
            "only_a": _only(a, b),
            "only_b": _only(b, a),
            "per_class": per_class,
            "overall": _compared(overall, options),
        }
    )


def comparison_table(compared: Mapping[str, Any]) -> list[list[str]]:
    """Return the rows of a table to print: a header, one row per class, and all together."""
    percent = f"{compared['confidence']:.0%}"
    places = ".2f" if compared["metric"] == "hd95" else ".4f"
    header = ["class", "A", "B", "B - A", f"{percent} interval", "B higher / lower / equal"]
    rows = [[*header, "p", "p (Holm)", "p (sign)", "cases", "skipped"]]
    for name, row in [*compared["per_class"].items(), ("overall", compared["overall"])]:
        low, high = (cell(value, "+" + places) for value in row["interval"])
        rows.append(
            [
                name,
                cell(row["mean_a"], places),
                cell(row["mean_b"], places),
                cell(row["difference"], "+" + places),
                f"{low} … {high}",
                f"{row['n_higher']} / {row['n_lower']} / {row['n_equal']}",
                _p_value(row["p_wilcoxon"]),
                _p_value(row["p_holm"]) if "p_holm" in row else "",
                _p_value(row["p_sign"]),
                str(row["n"]),
                str(row["n_skipped"]),
            ]
        )
    return rows


Pair = tuple[float | None, float | None]


def _pair(a: Mapping, b: Mapping, case: str, name: str, metric: str) -> Pair:
    return a["cases"][case][name].get(metric), b["cases"][case][name].get(metric)


def _means(pairs: Sequence[Pair]) -> Pair:
    """Average a case over the classes that both runs have a value of."""
    both = [(x, y) for x, y in pairs if x is not None and y is not None]
    if not both:
        return None, None
    return sum(x for x, _ in both) / len(both), sum(y for _, y in both) / len(both)


def _compared(pairs: Sequence[Pair], options: Mapping[str, Any]) -> dict[str, Any]:
    both = [(x, y) for x, y in pairs if x is not None and y is not None]
    found = compare_paired([x for x, _ in both], [y for _, y in both], **options)
    return {**asdict(found), "n_skipped": len(pairs) - len(both)}


def _only(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[str]]:
    return {key: [x for x in a[key] if x not in b[key]] for key in ("cases", "classes")}


def _require_comparable(
    a: Mapping[str, Any], b: Mapping[str, Any], cases: Sequence[str], classes: Sequence[str]
) -> None:
    for what, common in (("cases", cases), ("classes", classes)):
        if not common:
            raise InputError(
                f"the two runs have no {what} in common",
                expected=f"some of {_first(a[what])}",
                found=_first(b[what]),
                remedy="compare runs of the same data set, scored on the same cases",
            )
    rules = [run.get("empty", {}).get("policy") for run in (a, b)]
    if rules[0] != rules[1]:
        raise InputError(
            "the two runs count empty masks by different rules",
            expected=f"evaluation.empty: {rules[0]} in both",
            found=str(rules[1]),
            remedy="score one of them again: medseg run RECIPE evaluation.empty=…",
        )
    other = [case for case in cases if any(_differs(a, b, case, name) for name in classes)]
    if other:
        raise InputError(
            "the two runs were scored against different references",
            expected="the same reference volume of every class in every case",
            found=f"other volumes in {_first(other)}",
            remedy="score both against the same masks",
        )


def _differs(a: Mapping[str, Any], b: Mapping[str, Any], case: str, name: str) -> bool:
    x, y = a["cases"][case][name], b["cases"][case][name]
    return any(abs(x[k] - y[k]) > 1e-6 * max(x[k], y[k]) for k in REFERENCES if k in x and k in y)


def _first(names: Sequence[str] | Mapping[str, Any]) -> str:
    listed = ", ".join(list(names)[:_MOST_NAMES])
    return listed + (" …" if len(names) > _MOST_NAMES else "") or "none"


def _p_value(value: float) -> str:
    return "<0.0001" if value < 1e-4 else f"{value:.4f}"
