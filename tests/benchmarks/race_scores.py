"""Scores of a race: medseg's metrics for everybody, held against others' for a few cases."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medseg.labels import LabelScheme
from medseg.stages import evaluate


def scores(
    masks: Path, references: Mapping[str, Path], scheme: LabelScheme
) -> tuple[dict[str, Any], float]:
    """Score a folder of masks.

    Args:
        masks: ``CASE.nii.gz`` for each case.
        references: case id -> label file.
        scheme: what the values in the files mean.

    Returns:
        What `medseg.metrics.evaluate_pairs` gives, and the largest difference between it and what
        NumPy (Dice, all cases) and MONAI (HD95, three cases) compute for the same masks.

    Raises:
        FileNotFoundError: a case has no mask.
    """
    pairs = [(case, masks / f"{case}.nii.gz", label) for case, label in references.items()]
    absent = [str(mask) for _, mask, _ in pairs if not mask.is_file()]
    if absent:
        raise FileNotFoundError(f"no mask of {len(absent)} cases: {', '.join(absent[:3])}")
    found = evaluate.score(pairs, scheme)
    differences = [0.0]
    for number, (case, mask, label) in enumerate(pairs):
        pred, ref, spacing = _read(mask, label)
        for name in scheme.foreground:
            own = found["cases"][case][name]
            values = list(_values(scheme, name))
            a, b = np.isin(pred, values), np.isin(ref, values)
            differences.append(_apart(own["dice"], _dice(a, b)))
            if number < 3:
                differences.append(_apart(own["hd95"], _hausdorff95(a, b, spacing)))
    return found, max(differences)


def _values(scheme: LabelScheme, name: str) -> tuple[int, ...]:
    if scheme.regions:
        return tuple(scheme.regions[name])
    return (scheme.values[name],)


def _read(mask: Path, label: Path) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    import nibabel

    pred, ref = nibabel.load(mask), nibabel.load(label)
    spacing = tuple(float(s) for s in ref.header.get_zooms()[:3])
    return np.rint(pred.get_fdata()), np.rint(ref.get_fdata()), spacing


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else math.nan


def _hausdorff95(a: np.ndarray, b: np.ndarray, spacing: tuple[float, ...]) -> float:
    if not a.any() or not b.any():
        return math.nan
    import torch
    from monai.metrics import compute_hausdorff_distance

    masks = [torch.from_numpy(m[None, None].astype(np.float32)) for m in (a, b)]
    return float(compute_hausdorff_distance(*masks, percentile=95, spacing=list(spacing)))


def _apart(own: float | None, other: float) -> float:
    if own is None or math.isnan(other):
        return 0.0 if own is None and math.isnan(other) else math.inf
    return abs(own - other)
