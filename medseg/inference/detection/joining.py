"""Join what several runs found in one image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medseg.errors import InputError
from medseg.geometry.boxes import Boxes
from medseg.inference.detection.result import Detections


def join(runs: Sequence[Detections], *, threshold: float = 0.2) -> Detections:
    """Make one list of boxes of those that different networks or runs found in the same image.

    Boxes of one class that overlap by more than ``threshold`` become their mean, weighted by
    scores, volumes and overlap; a run that found nothing there counts as a score of 0
    (`medseg.geometry.clustering.weighted_clusters`). So what every run is sure of stays sure, and
    what one of four found has a quarter of its score. Networks of one recipe need not be joined
    like this: `medseg.inference.detection.looks.BoxWindow` clusters what all of them saw through
    their windows, at once.

    Args:
        runs: what each found, on the image's own grid. The numbers of classes may differ, and their
            names count: the first run's are the result's.
        threshold: IoU from which boxes of several runs show one object, in ``[0, 1]``.

    Raises:
        InputError: there are no runs, or they are of different images or classes.
    """
    import torch

    from medseg.geometry.clustering import weighted_clusters

    if not runs:
        raise InputError("there is nothing to join", expected="the boxes of one run or more")
    first = runs[0]
    for number, run in enumerate(runs[1:], start=2):
        _require_alike(first, run, number)
    corners = np.concatenate([run.boxes.corners for run in runs])
    classes = np.concatenate([run.in_order_of(first.classes).boxes.classes for run in runs])
    looks = np.repeat(np.arange(len(runs)), [len(run) for run in runs])
    joined = weighted_clusters(
        torch.from_numpy(corners),
        torch.from_numpy(np.concatenate([run.scores for run in runs])),
        threshold=threshold,
        classes=torch.from_numpy(classes),
        looks=torch.from_numpy(looks),
        expected=torch.full((len(corners),), len(runs)),
    )
    boxes = Boxes(joined.boxes.numpy(), joined.classes.numpy(), joined.scores.numpy())
    return Detections(boxes, first.grid, first.classes)


def _require_alike(first: Detections, other: Detections, number: int) -> None:
    if first.grid.ndim != other.grid.ndim or first.grid.mismatch(other.grid):
        raise InputError(
            f"boxes of run 1 and run {number} are of different images",
            expected=f"one grid: {first.grid.shape}",
            found=f"{other.grid.shape}"
            if first.grid.shape != other.grid.shape
            else str(first.grid.mismatch(other.grid)),
            remedy="join what was found in the same file",
        )
    if sorted(first.classes) != sorted(other.classes):
        raise InputError(
            f"run 1 and run {number} find different classes",
            expected=", ".join(first.classes),
            found=", ".join(other.classes),
        )
