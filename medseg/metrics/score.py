"""Score one case, and summarise many."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from medseg.errors import InputError
from medseg.labels import IGNORED, LabelScheme
from medseg.metrics.confusion import confusion
from medseg.metrics.overlap import Empty, dice_of, iou_of
from medseg.metrics.surface import hausdorff95

CaseScores = dict[str, dict[str, float]]


def score_case(
    pred_index: np.ndarray,
    target_index: np.ndarray,
    scheme: LabelScheme,
    spacing: Sequence[float],
    *,
    empty: Empty = "skip",
) -> CaseScores:
    """Score every class or region of one case.

    Args:
        pred_index: label *indices* ``(I, J, K)`` or ``(I, J)``, see `LabelScheme`.
        target_index: reference indices of the same shape. Where the scheme has an ignore label, its
            voxels count as background in both.
        scheme: what the indices mean; its `foreground` names what is scored.
        spacing: mm per axis.
        empty: what a class gives that neither has: ``skip`` NaN everywhere, ``one`` Dice and IoU 1,
            HD95 0. A class that only one of them has gives Dice 0 and HD95 infinity under both.

    Returns:
        name -> ``dice``, ``iou``, ``hd95`` (mm), and ``volume_pred_ml``, ``volume_ref_ml`` (2D:
        ``area_pred_mm2``, ``area_ref_mm2``).

    Raises:
        InputError: the shapes differ, or an index is beyond the scheme.
    """
    pred_index, target_index = np.asarray(pred_index), np.asarray(target_index)
    if scheme.ignore is not None and pred_index.shape == target_index.shape:
        known = target_index != IGNORED
        pred_index, target_index = pred_index * known, target_index * known
    _check_indices(pred_index, target_index, scheme)
    names = ("volume_{}_ml" if pred_index.ndim == 3 else "area_{}_mm2").format
    unit = math.prod(spacing) / (1000.0 if pred_index.ndim == 3 else 1.0)
    scores: CaseScores = {}
    for name, members in zip(scheme.foreground, scheme.region_indices(), strict=True):
        inside = np.isin(np.arange(len(scheme.values)), members)
        pred, target = inside[pred_index], inside[target_index]
        counts = confusion(pred, target)
        scores[name] = {
            "dice": dice_of(counts, empty=empty),
            "iou": iou_of(counts, empty=empty),
            "hd95": hausdorff95(pred, target, spacing, empty=empty),
            names("pred"): counts.pred * unit,
            names("ref"): counts.ref * unit,
        }
    return scores


def summarise(cases: Mapping[str, CaseScores]) -> dict:
    """Summarise the scores of many cases.

    Args:
        cases: case id -> what `score_case` returned.

    Returns:
        ``per_class``: name -> metric -> ``mean`` and ``std`` (sample, NaN below 2 cases) over the
        ``n`` cases that have a finite value, ``n_skipped`` (undefined: both empty) and
        ``n_infinite`` (no distance: one empty). ``mean``: metric -> mean over the classes' means,
        classes without any left out.
    """
    names = list(next(iter(cases.values()), {}))
    per_class = {}
    for name in names:
        rows = [scores[name] for scores in cases.values()]
        per_class[name] = {metric: _summary([row[metric] for row in rows]) for metric in rows[0]}
    metrics = list(per_class[names[0]]) if names else []
    return {
        "per_class": per_class,
        "mean": {
            metric: _finite_mean([per_class[name][metric]["mean"] for name in names])
            for metric in metrics
        },
    }


def _summary(values: Sequence[float]) -> dict[str, float | int]:
    array = np.asarray(values, dtype=float)
    finite = array[np.isfinite(array)]
    return {
        "mean": _finite_mean(values),
        "std": float(finite.std(ddof=1)) if len(finite) > 1 else math.nan,
        "n": len(finite),
        "n_skipped": int(np.isnan(array).sum()),
        "n_infinite": int(np.isinf(array).sum()),
    }


def _finite_mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else math.nan


def _check_indices(pred: np.ndarray, target: np.ndarray, scheme: LabelScheme) -> None:
    if pred.shape != target.shape:
        raise InputError(
            "prediction and reference differ in shape",
            expected=f"the reference's {target.shape}",
            found=f"{pred.shape}",
        )
    for what, array in (("prediction", pred), ("reference", target)):
        if array.dtype.kind not in "iub":
            raise InputError(f"the {what} must hold whole numbers", found=str(array.dtype))
        if array.size and not (array.min() >= 0 and array.max() < len(scheme.values)):
            raise InputError(
                f"the {what} holds indices beyond the label scheme",
                expected=f"0 to {len(scheme.values) - 1}",
                found=f"{array.min()} to {array.max()}",
                remedy="turn file values into indices with LabelScheme.to_index",
            )
