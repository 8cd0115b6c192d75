"""From a scanner's file to the array the network sees: reorient, crop, normalise, resample."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from medseg.data.case import LabelVolume, Volume
from medseg.data.prepare.resampling import coarse_axis, resample_image, resample_label
from medseg.data.prepare.steps import Crop, Normalise, Reorient, Resample, Step, crop, reorient
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.planning.plan import Normalisation, PreprocessingPlan
from medseg.planning.spacing import NOT_ABSURD, absurd

# Spacings are written with float32 noise: 1.0000001 mm is no reason to interpolate.
SPACING_TOLERANCE = 1e-3


class Prepared(NamedTuple):
    """A case on the plan's grid.

    Attributes:
        image: float32 ``(C, *S)``.
        label: uint8 indices ``(*S)``, or ``None``.
        grid: where its voxels lie.
        record: the steps in the order they were taken.
    """

    image: np.ndarray
    label: np.ndarray | None
    grid: Grid
    record: tuple[Step, ...]


def preprocess(
    volume: Volume, plan: PreprocessingPlan, label: LabelVolume | None = None
) -> Prepared:
    """Bring an image, and its label, onto the plan's grid.

    Args:
        volume: ``(C, *S)`` as read, any axis order.
        plan: what to do.
        label: on the same grid as ``volume``.

    Raises:
        InputError: the plan is for another number of axes or channels.
    """
    _check(volume, plan)
    image = np.asarray(volume.data, dtype=np.float32)
    index = None if label is None else label.data
    grid = volume.grid
    record: list[Step] = []

    if plan.orientation is not None and grid.ndim == 3:
        turn = plan_reorient(grid, plan.orientation)
        image, grid = reorient(image, turn), turn.target
        index = None if index is None else reorient(index, turn)
        record.append(turn)

    if plan.crop == "nonzero":
        cut = plan_crop(image, grid)
        image, grid = crop(image, cut), cut.target
        index = None if index is None else crop(index, cut)
        record.append(cut)

    image, scaled = normalise(image, plan.normalisation)
    record.append(scaled)

    stretch = plan_resample(grid, plan.spacing)
    if stretch is not None:
        image = resample_image(image, grid, stretch.target)
        if index is not None:
            index = resample_label(np.ascontiguousarray(index), grid, stretch.target)
        grid = stretch.target
        record.append(stretch)

    image = np.ascontiguousarray(image, dtype=np.float32)
    index = None if index is None else np.ascontiguousarray(index, dtype=np.uint8)
    return Prepared(image, index, grid, tuple(record))


def plan_reorient(grid: Grid, orientation: str = "RAS") -> Reorient:
    """Find the permutation and flips that bring a 3D grid closest to ``orientation``."""
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    change = ornt_transform(io_orientation(grid.affine), axcodes2ornt(tuple(orientation)))
    axes = np.argsort(change[:, 0])
    flips = change[axes, 1] < 0
    return Reorient(grid, tuple(int(a) for a in axes), tuple(bool(f) for f in flips))


def plan_crop(image: np.ndarray, grid: Grid) -> Crop:
    """Find the box of voxels that are non-zero in any channel of ``(C, *S)``.

    An image without any such voxel keeps its whole grid.
    """
    start, stop = [], []
    filled = np.zeros(grid.shape, dtype=bool)
    for channel in image:
        filled |= channel != 0
    for axis in range(grid.ndim):
        hits = np.flatnonzero(filled.any(axis=tuple(a for a in range(grid.ndim) if a != axis)))
        start.append(int(hits[0]) if len(hits) else 0)
        stop.append(int(hits[-1]) + 1 if len(hits) else grid.shape[axis])
    return Crop(grid, tuple(start), tuple(stop))


def plan_resample(grid: Grid, spacing: tuple[float, ...]) -> Resample | None:
    """Find the shape that gives ``spacing`` (mm); ``None`` where nothing would change.

    Nothing changes when every spacing agrees within 0.1 %, or when the box rounds to the same
    number of voxels.
    """
    shape = grid.shape_at(spacing)
    if absurd(grid.shape, shape):
        raise InputError(
            "resampled to the planned spacing, the image would be too large",
            expected=NOT_ABSURD,
            found=f"spacing {grid.spacing} mm, shape {grid.shape} -> {shape}",
            remedy="mend the spacing in the file's header, or set plan.spacing",
        )
    if shape == grid.shape or np.allclose(grid.spacing, spacing, rtol=SPACING_TOLERANCE, atol=0):
        return None
    return Resample(grid, shape, coarse_axis(grid.spacing, grid.resample(shape).spacing))


def normalise(
    image: np.ndarray, channels: tuple[Normalisation, ...]
) -> tuple[np.ndarray, Normalise]:
    """Scale each channel of ``(C, *S)``; returns a new array and what was used."""
    out = np.empty(image.shape, dtype=np.float32)
    used = []
    for source, result, scheme in zip(image, out, channels, strict=True):
        used.append(_normalise(source, result, scheme))
    return out, Normalise(tuple(used))


def _normalise(source: np.ndarray, out: np.ndarray, scheme: Normalisation) -> Normalisation:
    if scheme.scheme == "none":
        out[...] = source
        return scheme
    if scheme.scheme == "ct":
        np.clip(source, scheme.lower, scheme.upper, out=out)
        used, inside = scheme, None
    else:
        inside = source != 0 if scheme.masked else None
        values = source if inside is None else source[inside]
        if scheme.scheme == "minmax":
            mean = float(values.min()) if values.size else 0.0
            std = float(values.max()) - mean if values.size else 1.0
        else:
            # In float64: some scanners' values reach 10^6, where float32 sums lose the variance.
            mean = float(values.mean(dtype=np.float64)) if values.size else 0.0
            std = float(values.std(dtype=np.float64)) if values.size else 1.0
        used = replace(scheme, mean=mean, std=std)
        out[...] = source
    out -= np.float32(used.mean)
    out /= np.float32(max(used.std, 1e-8))
    if inside is not None:
        out[~inside] = 0.0
    return used


def _check(volume: Volume, plan: PreprocessingPlan) -> None:
    if len(plan.spacing) != volume.grid.ndim:
        raise InputError(
            "the plan and the image have different numbers of axes",
            expected=f"{len(plan.spacing)} axes, spacing {plan.spacing}",
            found=f"shape {volume.grid.shape}",
        )
    if len(plan.normalisation) != len(volume.data):
        raise InputError(
            "the plan and the image have different numbers of channels",
            expected=f"{len(plan.normalisation)} channels",
            found=f"{len(volume.data)}",
        )
