"""Nodules in the lungs of CT-like volumes, and vessels that look like them in cross-section.

What makes them worth finding: a nodule is as bright as the vessels, as small as their branches, and
often hangs on one of them or on the pleura; some are of ground glass, hardly brighter than lung.
That it is round in all three directions tells it apart, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from medseg.data.case import LabelVolume, Volume
from medseg.data.phantoms.chest import AIR, SOFT, Chest, make_chest
from medseg.data.phantoms.fields import millimetres
from medseg.geometry import Grid

SHAPE = (96, 80, 48)
LABELS = {"nodule": 1}

Density = Literal["solid", "part-solid", "ground-glass"]
Place = Literal["free", "vessel", "pleura"]
_DENSITIES: tuple[Density, ...] = ("solid", "part-solid", "ground-glass")
_PLACES: tuple[Place, ...] = ("free", "vessel", "pleura")

_SMALLEST_MM, _LARGEST_MM = 4.0, 30.0
# Between the surfaces of two nodules: more than any voxel's diagonal, so that none touch.
_APART_MM = 5.0
# The axes lead left, posterior, superior, where the scanner counts right, anterior, superior.
_SIGNS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Nodule:
    """An ellipsoid; its mask is the voxels whose centres are in it.

    Attributes:
        centre: ``(3,)`` in mm from the middle of the volume, along its axes.
        semi_axes: ``(3,)`` in mm.
        directions: ``(3, 3)``, columns: where the axes point.
        density: what it is made of.
        place: what it hangs on.
    """

    centre: np.ndarray
    semi_axes: np.ndarray
    directions: np.ndarray
    density: Density
    place: Place

    @property
    def diameter(self) -> float:
        """Of the sphere with its volume, in mm."""
        return float(2 * np.prod(self.semi_axes) ** (1 / 3))

    def depth(self, points: np.ndarray) -> np.ndarray:
        """Say of points ``(3, *S)`` how deep they are: 1 in the middle, 0 on the surface."""
        away = points - self.centre.reshape(3, *[1] * (points.ndim - 1))
        turned = np.einsum("ca,c...->a...", self.directions, away)
        scaled = turned / self.semi_axes.reshape(3, *[1] * (points.ndim - 1))
        return 1 - np.sqrt(np.square(scaled).sum(axis=0))

    def in_world(self, grid: Grid) -> np.ndarray:
        """Return the centre ``(3,)`` in mm, RAS."""
        index = self.centre / grid.spacing + (np.asarray(grid.shape) - 1) / 2
        return grid.affine[:3, :3] @ index + grid.affine[:3, 3]


def make_nodules_case(
    seed: int | Sequence[int], *, shape: Sequence[int] = SHAPE, with_vessels: bool = True
) -> tuple[Volume, LabelVolume, tuple[Nodule, ...]]:
    """Make one case.

    Args:
        seed: the case's own seed.
        shape: voxels per axis; they are 1.4 to 1.7 mm wide and 1.8 to 2.6 mm thick. The chest is
            as large as the box they make.
        with_vessels: without them the same nodules lie in lungs that hold nothing else, to see how
            much harder the vessels make it.

    Returns:
        The image ``(1, I, J, K)`` in whole Hounsfield units, the label with 0 and 1, and the
        nodules. About one case in five has none. No two of them touch.
    """
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in shape)
    in_plane, thickness = rng.uniform((1.4, 1.8), (1.7, 2.6)).round(2)
    spacing = (in_plane, in_plane, thickness)
    points = millimetres(shape, spacing)

    chest = make_chest(rng, points, spacing)
    nodules = _place(rng, chest, points, spacing)
    label = np.zeros(shape, dtype=np.uint8)
    tissue = chest.with_blood() if with_vessels else chest.tissue
    for nodule in nodules:
        depth = nodule.depth(points)
        label[depth >= 0] = LABELS["nodule"]
        tissue = _painted(rng, tissue, nodule, depth, chest.voxel)

    affine = np.diag([*(_SIGNS * spacing), 1.0])
    affine[:3, 3] = rng.uniform(-150, 150, size=3).round(2)
    grid = Grid(shape, affine)
    return Volume(_scanned(rng, tissue)[None], grid), LabelVolume(label, grid), nodules


def _place(
    rng: np.random.Generator, chest: Chest, points: np.ndarray, spacing: Sequence[float]
) -> tuple[Nodule, ...]:
    """Draw the nodules of a case; where the lungs have no room for one it gets smaller."""
    if rng.random() < 0.2:
        return ()
    found: list[Nodule] = []
    for _ in range(min(5, 1 + rng.poisson(1.3))):
        diameter = _SMALLEST_MM * (_LARGEST_MM / _SMALLEST_MM) ** (rng.random() ** 1.3)
        stretch = np.exp(rng.uniform(-0.22, 0.22, size=3)) if rng.random() < 0.6 else np.ones(3)
        stretch = stretch / np.prod(stretch) ** (1 / 3)
        directions = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        density = _DENSITIES[rng.choice(3, p=(0.75, 0.1, 0.15))]
        place = _PLACES[rng.choice(3, p=(0.5, 0.3, 0.2))]
        while diameter >= _SMALLEST_MM:
            semi_axes = stretch * diameter / 2
            open_to = _open(chest, points, spacing, place, semi_axes, found)
            if len(open_to):
                at = open_to[rng.integers(len(open_to))]
                centre = points.reshape(3, -1)[:, at] + rng.uniform(-0.5, 0.5, size=3) * spacing
                found.append(Nodule(centre, semi_axes, directions, density, place))
                break
            diameter *= 0.8
    return tuple(found)


def _open(
    chest: Chest,
    points: np.ndarray,
    spacing: Sequence[float],
    place: Place,
    semi_axes: np.ndarray,
    others: Sequence[Nodule],
) -> np.ndarray:
    """Return the voxels, as places in the flat volume, that may be the middle of a nodule."""
    radius, reach = np.prod(semi_axes) ** (1 / 3), semi_axes.max()
    depth, vessel = chest.below_pleura, chest.below_vessel
    # Within a large vessel nobody could see it.
    fits = vessel < -0.6 * radius
    if place == "pleura":
        fits &= (depth > 0.85 * radius) & (depth < radius)
    else:
        fits &= depth > reach + 1.5
    if place == "vessel":
        fits &= vessel > -radius - 1.0
    edge = np.asarray(points.shape[1:]) * spacing / 2 - reach - spacing
    fits &= (np.abs(points) < edge.reshape(3, 1, 1, 1)).all(axis=0)
    for other in others:
        away = np.linalg.norm(points - other.centre.reshape(3, 1, 1, 1), axis=0)
        fits &= away > reach + other.semi_axes.max() + _APART_MM
    return np.flatnonzero(fits)


def _painted(
    rng: np.random.Generator,
    tissue: np.ndarray,
    nodule: Nodule,
    depth: np.ndarray,
    voxel: float,
) -> np.ndarray:
    """Return the tissue with a nodule in it; what is denser than it stays."""
    solid, glass = SOFT + rng.uniform(-25, 20), rng.uniform(-620, -420)
    edge = voxel / np.mean(nodule.semi_axes)
    layers = [(solid if nodule.density == "solid" else glass, depth)]
    if nodule.density == "part-solid":
        layers.append((solid, depth - 0.5))
    for grey, below in layers:
        share = np.clip(below / edge + 0.5, 0, 1)
        tissue = np.where(share > 0, np.maximum(tissue, tissue + share * (grey - tissue)), tissue)
    return tissue


def _scanned(rng: np.random.Generator, tissue: np.ndarray) -> np.ndarray:
    """Blur as thick slices and a soft kernel do, add noise with a grain, and round."""
    grain = ndimage.gaussian_filter(rng.standard_normal(tissue.shape, dtype=np.float32), 0.5)
    image = ndimage.gaussian_filter(tissue, (0.4, 0.4, 0.3))
    image += rng.uniform(15, 40) / grain.std() * grain
    return np.clip(np.rint(image), AIR - 24, 3071).astype(np.float32)
