"""Two detection runs' metrics.json, compared over the cases that both have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from medseg.errors import InputError
from medseg.metrics.average_precision import weighted_precision
from medseg.metrics.bootstrap import case_weights
from medseg.metrics.cells import cell
from medseg.metrics.evaluate import json_safe
from medseg.metrics.froc import weighted_sensitivities
from medseg.metrics.known_mean import known_mean
from medseg.metrics.outcomes import tally_of
from medseg.metrics.paired import holm

SCHEMA = 1
METRICS = ("map", "cpm")
"""What can be compared, beside ``ap_0.5`` and the like."""

_AT_ONCE = 100


def compare_detections(
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    *,
    metric: str = "map",
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare two runs by resampling cases, per class and overall; differences are B less A.

    Average precision and CPM are of all cases together: one case alone has none. So both runs are
    scored on the same draws of cases, with replacement, as LUNA16 compares systems (Setio et al.,
    Medical Image Analysis 42, 2017). ``p`` is the part of the draws that speak against the sign of
    the difference, twice.

    Args:
        a: metrics.json of the first run, see `medseg.metrics.evaluate_detections`.
        b: of the second.
        metric: ``map``, ``cpm``, or average precision at an IoU that both were scored at, as
            ``ap_0.5``.
        confidence: of the intervals.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        Plain containers without NaN: ``schema``, ``task``, ``metric``, ``better``, ``confidence``,
        ``resamples``, ``n_common``, ``only_a`` and ``only_b`` (``cases`` and ``classes`` that one
        run alone has), ``per_class`` and ``overall``: ``score_a``, ``score_b``, ``difference``,
        its ``interval``, ``p`` and ``n_references``; a class also has ``p_holm``, corrected for the
        number of classes. ``overall`` is of the mean over the classes that have objects.

    Raises:
        InputError: there is no such metric; the runs share no case or no class, were scored by
            different rules or against different references, or do not say what boxes came to.
    """
    cases = [case for case in a["cases"] if case in b["cases"]]
    classes = [name for name in a["classes"] if name in b["classes"]]
    _require_comparable(a, b, metric, cases, classes)
    scored = [_scores(run, cases, classes, metric) for run in (a, b)]
    once = np.ones((1, len(cases)))
    score_a, score_b = (of(once)[0] for of in scored)
    drawn = [
        scored[1](weights) - scored[0](weights)
        for weights in _split(case_weights(len(cases), resamples=resamples, seed=seed))
    ]
    draws = np.concatenate(drawn)
    named = [*classes, "overall"]
    rows = {
        name: _row(score_a[k], score_b[k], draws[:, k], confidence) for k, name in enumerate(named)
    }
    for name in classes:
        rows[name]["n_references"] = sum(a["cases"][case][name]["references"] for case in cases)
    overall = rows.pop("overall")
    overall["n_references"] = sum(row["n_references"] for row in rows.values())
    known = [name for name in classes if rows[name]["p"] is not None]
    for name, p in zip(known, holm([rows[name]["p"] for name in known]), strict=True):
        rows[name]["p_holm"] = p
    return json_safe(
        {
            "schema": SCHEMA,
            "task": "detection",
            "metric": metric,
            "better": "higher",
            "confidence": confidence,
            "resamples": resamples,
            "n_common": len(cases),
            "only_a": _only(a, b),
            "only_b": _only(b, a),
            "per_class": rows,
            "overall": overall,
        }
    )


def detection_comparison_table(compared: Mapping[str, Any]) -> list[list[str]]:
    """Return the rows of a table to print: a header, one row per class, and all together."""
    share = f"{compared['confidence']:.0%} interval"
    rows = [["class", "A", "B", "B - A", share, "p", "p (Holm)", "objects"]]
    for name, row in [*compared["per_class"].items(), ("overall", compared["overall"])]:
        low, high = (cell(value, "+.4f") for value in row["interval"])
        rows.append(
            [
                name,
                cell(row["score_a"], ".4f"),
                cell(row["score_b"], ".4f"),
                cell(row["difference"], "+.4f"),
                f"{low} … {high}",
                cell(row["p"], ".4f"),
                cell(row.get("p_holm"), ".4f") if name in compared["per_class"] else "",
                str(row["n_references"]),
            ]
        )
    return rows


def _scores(
    run: Mapping[str, Any], cases: Sequence[str], classes: Sequence[str], metric: str
) -> Callable[[np.ndarray], np.ndarray]:
    """Make what scores a run when cases count so often: ``(B, cases)`` to ``(B, classes + 1)``.

    The last is the mean over classes with objects.
    """
    rules = ["hit"] if metric == "cpm" else _thresholds(run, metric)
    try:
        tallies = [
            [
                tally_of(
                    [run["boxes"][case][name] for case in cases],
                    rule,
                    [run["cases"][case][name]["references"] for case in cases],
                )
                for rule in rules
            ]
            for name in classes
        ]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            "this metrics.json does not say what became of each box",
            expected="scores and hits of every case under boxes",
            found=f"{type(error).__name__}: {error}",
            remedy="score the run again: medseg run RECIPE, or medseg evaluate BOXES DATA",
        ) from error

    def of_class(counted: Sequence[Any], weights: np.ndarray) -> np.ndarray:
        if metric == "cpm":
            return weighted_sensitivities(counted[0], weights, fps=run["fps"]).mean(axis=1)
        return np.mean([weighted_precision(one, weights) for one in counted], axis=0)

    def score(weights: np.ndarray) -> np.ndarray:
        each = np.stack([of_class(counted, weights) for counted in tallies], axis=1)
        return np.column_stack([each, known_mean(each, axis=1)])

    return score


def _thresholds(run: Mapping[str, Any], metric: str) -> list[str]:
    wanted = run["iou"] if metric == "map" else [float(metric.removeprefix("ap_"))]
    return [f"{threshold:g}" for threshold in wanted]


def _row(a: float, b: float, draws: np.ndarray, confidence: float) -> dict[str, Any]:
    draws = draws[~np.isnan(draws)]
    p, interval = None, [np.nan, np.nan]
    if len(draws):
        tails = ((1 - confidence) / 2, (1 + confidence) / 2)
        interval = np.quantile(draws, tails).tolist()
        against = min((draws <= 0).sum(), (draws >= 0).sum())
        # The data themselves are one draw: no number of them makes a p of 0.
        p = min(1.0, 2 * (int(against) + 1) / (len(draws) + 1))
    return {"score_a": a, "score_b": b, "difference": b - a, "interval": interval, "p": p}


def _split(weights: np.ndarray) -> list[np.ndarray]:
    return [weights[at : at + _AT_ONCE] for at in range(0, len(weights), _AT_ONCE)]


def _only(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[str]]:
    return {key: [x for x in a[key] if x not in b[key]] for key in ("cases", "classes")}


def _require_comparable(
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    metric: str,
    cases: Sequence[str],
    classes: Sequence[str],
) -> None:
    scored_at = [value for value in a["iou"] if value in b["iou"]]
    precise = re.fullmatch(r"ap_(0?\.\d+|1)", metric)
    if metric not in METRICS and not (precise and float(metric[3:]) in scored_at):
        raise InputError(
            "there is no such metric to compare detections by",
            expected=", ".join([*METRICS, *(f"ap_{value:g}" for value in scored_at)]),
            found=metric,
        )
    for what, common in (("cases", cases), ("classes", classes)):
        if not common:
            raise InputError(
                f"the two runs have no {what} in common",
                expected=f"some of {_first(a[what])}",
                found=_first(b[what]),
                remedy="compare runs of the same data set, scored on the same cases",
            )
    for key, what in (("hit", "hit"), ("fps", "free-response curve"), ("iou", "IoU")):
        needed = key == "iou" if metric != "cpm" else key != "iou"
        if needed and a[key] != b[key] and not precise:
            raise InputError(
                f"the two runs were scored by another {what}",
                expected=f"{a[key]} in both",
                found=str(b[key]),
                remedy="score one of them again: medseg run RECIPE detection.hit=…, or "
                "medseg evaluate BOXES DATA --hit …",
            )
    there = "references"
    other = [
        case
        for case in cases
        if any(a["cases"][case][name][there] != b["cases"][case][name][there] for name in classes)
    ]
    if other:
        raise InputError(
            "the two runs were scored against different references",
            expected="the same number of objects of every class in every case",
            found=f"other numbers in {_first(other)}",
            remedy="score both against the same boxes",
        )


def _first(names: Sequence[str] | Mapping[str, Any]) -> str:
    listed = list(names)
    return ", ".join(listed[:10]) + (" …" if len(listed) > 10 else "")
