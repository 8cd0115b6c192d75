"""From a scanner's file to the array the network sees: reorient, crop, normalise, resample."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from medseg.data.case import LabelVolume, Volume
from medseg.data.prepare.boxes import filled_box, guided_box
from medseg.data.prepare.resampling import coarse_axis, resample_image, resample_label
from medseg.data.prepare.steps import Crop, Normalise, Reorient, Resample, Step, crop, reorient
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.planning.guidance import Guidance
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
        guide: uint8 indices ``(*S)`` of an earlier stage, where the network is to see them.
    """

    image: np.ndarray
    label: np.ndarray | None
    grid: Grid
    record: tuple[Step, ...]
    guide: np.ndarray | None = None


def preprocess(
    volume: Volume,
    plan: PreprocessingPlan,
    label: LabelVolume | None = None,
    *,
    guidance: Guidance | None = None,
) -> Prepared:
    """Bring an image, its label, and what an earlier stage found in it onto the plan's grid.

    Args:
        volume: ``(C, *S)`` as read, any axis order.
        plan: what to do.
        label: on the same grid as ``volume``.
        guidance: what becomes of the volume's guide; a crop to a guide without foreground leaves
            the image whole. ``None``: the guide is not looked at.

    Raises:
        InputError: the plan is for another number of axes or channels.
    """
    _check(volume, plan)
    image = np.asarray(volume.data, dtype=np.float32)
    maps: dict[str, np.ndarray] = {} if label is None else {"label": label.data}
    if guidance is not None:
        maps["guide"] = _guide_of(volume)
    grid = volume.grid
    record: list[Step] = []

    if plan.orientation is not None and grid.ndim == 3:
        turn = plan_reorient(grid, plan.orientation)
        image, grid = reorient(image, turn), turn.target
        maps = {name: reorient(index, turn) for name, index in maps.items()}
        record.append(turn)

    if plan.crop == "nonzero":
        cut = plan_crop(image, grid)
        image, grid = crop(image, cut), cut.target
        maps = {name: crop(index, cut) for name, index in maps.items()}
        record.append(cut)

    # Before the crop to a guide: an image's own mean must not hang on what an earlier stage found.
    image, scaled = normalise(image, plan.normalisation)
    record.append(scaled)

    box = None
    if guidance is not None and guidance.crops:
        box = guided_box(maps["guide"], grid, guidance.margin)
    if box is not None:
        cut = Crop(grid, *box)
        image, grid = crop(image, cut), cut.target
        maps = {name: crop(index, cut) for name, index in maps.items()}
        record.append(cut)

    stretch = plan_resample(grid, plan.spacing)
    if stretch is not None:
        image = resample_image(image, grid, stretch.target)
        maps = {
            name: resample_label(np.ascontiguousarray(index), grid, stretch.target)
            for name, index in maps.items()
        }
        grid = stretch.target
        record.append(stretch)

    image = np.ascontiguousarray(image, dtype=np.float32)
    maps = {name: np.ascontiguousarray(index, dtype=np.uint8) for name, index in maps.items()}
    shown = guidance is not None and guidance.channels
    guide = maps["guide"] if shown else None
    return Prepared(image, maps.get("label"), grid, tuple(record), guide)


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
    filled = np.zeros(grid.shape, dtype=bool)
    for channel in image:
        filled |= channel != 0
    return Crop(grid, *(filled_box(filled) or ((0,) * grid.ndim, grid.shape)))


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


def _guide_of(volume: Volume) -> np.ndarray:
    guide = volume.guide
    if guide is None or guide.shape != volume.grid.shape:
        raise InputError(
            "what the first stage found in the image is not there, or of another shape",
            expected=f"label indices of shape {volume.grid.shape}",
            found="none" if guide is None else f"shape {guide.shape}",
        )
    return guide


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
