"""Boxes through the steps of preprocessing, and back to the source's grid.

Every step permutes, flips, shifts or scales axes, so a box stays a box and the way back is exact.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medseg.data.prepare.steps import Crop, Reorient, Resample, Step


def prepare_boxes(record: Sequence[Step], corners: np.ndarray) -> np.ndarray:
    """Bring boxes ``(N, 2n)``, in voxel edges of the source, onto the prepared grid.

    What a crop cuts off stays in the numbers, as coordinates outside of the grid.
    """
    lower, upper = _split(corners)
    for step in record:
        if isinstance(step, Reorient):
            lower, upper = lower[:, step.axes], upper[:, step.axes]
            lower, upper = _flip(lower, upper, step)
        elif isinstance(step, Crop):
            lower, upper = lower - np.array(step.start), upper - np.array(step.start)
        elif isinstance(step, Resample):
            lower, upper = lower * _scale(step), upper * _scale(step)
    return np.hstack([lower, upper])


def restore_boxes(record: Sequence[Step], corners: np.ndarray) -> np.ndarray:
    """Bring boxes ``(N, 2n)`` on the prepared grid back to the source's; undoes `prepare_boxes`."""
    lower, upper = _split(corners)
    for step in reversed(record):
        if isinstance(step, Reorient):
            lower, upper = _flip(lower, upper, step)
            back = np.argsort(step.axes)
            lower, upper = lower[:, back], upper[:, back]
        elif isinstance(step, Crop):
            lower, upper = lower + np.array(step.start), upper + np.array(step.start)
        elif isinstance(step, Resample):
            lower, upper = lower / _scale(step), upper / _scale(step)
    return np.hstack([lower, upper])


def _split(corners: np.ndarray) -> list[np.ndarray]:
    return np.split(np.asarray(corners, dtype=np.float64), 2, axis=1)


def _flip(lower: np.ndarray, upper: np.ndarray, step: Reorient) -> tuple[np.ndarray, np.ndarray]:
    """Count the flagged axes, already in their new order, from the other end."""
    length = np.array(step.target.shape)
    flips = np.array(step.flips)
    return np.where(flips, length - upper, lower), np.where(flips, length - lower, upper)


def _scale(step: Resample) -> np.ndarray:
    return np.array(step.shape) / np.array(step.source.shape)
