"""A chest in Hounsfield units: two lungs and their vessels, heart, spine and ribs.

The axes run left, posterior, superior, as CT is stored. Everything follows the box, so that a small
one holds a small chest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from medseg.data.phantoms import vessels
from medseg.data.phantoms.fields import displacement, smooth_noise

AIR, FAT, SOFT, BONE = -1000.0, -95.0, 45.0, 420.0
# Half of the box that the anatomy was drawn for, in mm.
_HALF_MM = np.array([72.0, 60.0, 53.0])
# Where a lung's arteries and veins lead to: outward, back, up.
_STEMS = (
    (1.0, -0.3, 1.2),
    (1.0, 0.5, 0.9),
    (1.0, -0.9, 0.1),
    (1.0, 0.8, 0.0),
    (1.0, 0.1, -0.4),
    (0.8, 0.5, -1.2),
)


class Chest(NamedTuple):
    """One chest on a grid.

    Attributes:
        tissue: HU ``(*S)`` without the vessels, neither blurred nor noisy.
        below_pleura: mm from each voxel of a lung to its surface, 0 elsewhere.
        below_vessel: mm below the vessels' surface, negative outside of them; minus infinity where
            there is none near, and outside of the lungs.
        blood: HU in the vessels.
        voxel: size of a voxel in mm.
    """

    tissue: np.ndarray
    below_pleura: np.ndarray
    below_vessel: np.ndarray
    blood: float
    voxel: float

    def with_blood(self) -> np.ndarray:
        """Return HU ``(*S)`` with the vessels; at their surface a voxel is part of each."""
        share = np.clip(self.below_vessel / self.voxel + 0.5, 0, 1)
        return self.tissue + share * (self.blood - self.tissue)


def make_chest(rng: np.random.Generator, points: np.ndarray, spacing: Sequence[float]) -> Chest:
    """Make one chest.

    Args:
        rng: the generator.
        points: where the voxels are ``(3, *S)``, in mm from the middle of the box.
        spacing: mm per axis.
    """
    shape = points.shape[1:]
    half = np.asarray(shape) * spacing / 2
    size = float((half / _HALF_MM).min())
    unit = [s / size for s in spacing]
    moved = points + size * displacement(rng, shape, unit, scale_mm=45.0, size_mm=1.5)
    x, y, z = moved / half.reshape(3, 1, 1, 1)

    rib_cage, lungs = _lungs(rng, x, y, z)
    tissue = _wall(rng, x, y, z, moved / size, ndimage.distance_transform_edt(~rib_cage, unit))
    air = rng.uniform(-880, -825) + 30 * y + 18 * smooth_noise(rng, shape, scale=8.0)
    tissue[lungs] = air[lungs]

    below_pleura = ndimage.distance_transform_edt(lungs, spacing).astype(np.float32)
    trees = _trees(rng, below_pleura, spacing, half, size)
    below_vessel = np.full(shape, -np.inf, dtype=np.float32)
    below_vessel[lungs] = vessels.depth_in(trees, points[:, lungs].T)
    blood = SOFT + rng.uniform(-15, 25)
    return Chest(tissue, below_pleura, below_vessel, blood, float(np.mean(spacing)))


def _lungs(
    rng: np.random.Generator, x: np.ndarray, y: np.ndarray, z: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return two cones, which the ribs go around, and the lungs in them.

    The diaphragm bulges into the lungs from below, and the heart from between them.
    """
    waist = np.sqrt(np.clip(1 - ((z + 0.2) / 1.35) ** 2, 0.05, None))
    heart = ((x - 0.12) / 0.30) ** 2 + ((y + 0.3) / 0.42) ** 2 + ((z + 0.5) / 0.55) ** 2 < 1
    cones, domes = np.zeros(x.shape, dtype=bool), np.zeros(x.shape, dtype=bool)
    for side in (-1.0, 1.0):
        across, along = (x - 0.44 * side) / 0.40, y / rng.uniform(0.70, 0.76)
        dome = rng.uniform(-0.68, -0.55) - 0.3 * across**2 - 0.2 * along**2
        cone = across**2 + along**2 < waist**2
        cones |= cone
        domes |= cone & (z < dome)
    return cones, cones & ~domes & ~heart


def _wall(
    rng: np.random.Generator,
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    moved: np.ndarray,
    gap: np.ndarray,
) -> np.ndarray:
    """Paint all but the lungs; ``gap`` is how far the cones are, in mm of a whole chest."""
    outward = (np.abs(x / 0.97) ** 2.5 + np.abs(y / 0.95) ** 2.5) ** (1 / 2.5)
    tissue = np.full(x.shape, AIR, dtype=np.float32)
    tissue[outward < 1] = SOFT
    tissue[(outward > 0.8) & (outward < 1) & (gap > 8)] = FAT
    along = (moved[2] + 0.35 * moved[1] + rng.uniform(0, 22)) / 22
    ribs = (np.sin(2 * np.pi * along) > 0.4) & (gap > 1.5) & (gap < 6.5) & (outward > 0.7)
    spine = x**2 + ((y - 0.62) / 1.1) ** 2 < 0.12**2
    tissue[(ribs & (outward < 1)) | spine] = BONE
    return tissue


def _trees(
    rng: np.random.Generator,
    below_pleura: np.ndarray,
    spacing: Sequence[float],
    half: np.ndarray,
    size: float,
) -> vessels.Vessels:
    """Grow the trees of both lungs from where they enter them."""
    last = np.asarray(below_pleura.shape) - 1
    middle = last / 2

    def inside(point: np.ndarray) -> bool:
        at = np.rint(point / spacing + middle).astype(int)
        if (at < 0).any() or (at > last).any():
            return False
        # The way in leads through the wall.
        return bool(below_pleura[tuple(at)] > 1.5) or bool(abs(point[0]) < 0.16 * half[0])

    found = []
    for side in (-1.0, 1.0):
        for stem in _STEMS:
            start = half * (0.1 * side, rng.uniform(0.0, 0.2), rng.uniform(-0.05, 0.15))
            heading = np.array(stem) * (side, 1, 1) + 0.25 * rng.standard_normal(3)
            radius = max(size, 0.5) * rng.uniform(2.6, 3.8)
            found.append(vessels.grow(rng, start, heading, radius=radius, size=size, inside=inside))
    return vessels.join(found)
