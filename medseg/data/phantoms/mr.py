"""One MR channel, two touching structures: a bent tube, divided across, in tissue of its own grey.

What makes it worth learning: the tube's grey is also that of the gyri around it, of a ball before
its head and of a second tube below it, so that no threshold finds it; its rim is missing in places;
and head and tail differ by shape and position alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from medseg.data.case import LabelVolume, Volume
from medseg.data.phantoms.fields import (
    bias_field,
    displacement,
    millimetres,
    rician,
    smooth_noise,
)
from medseg.geometry import Grid

LABELS = {"head": 1, "tail": 2}
SHAPE = (48, 56, 40)

_CSF, _TUBE, _GREY, _WHITE = 0.22, 0.50, 0.58, 0.82


def make_mr_case(
    seed: int | Sequence[int], *, shape: Sequence[int] = SHAPE
) -> tuple[Volume, LabelVolume]:
    """Make one case.

    Args:
        seed: the case's own seed.
        shape: size of the box in mm; the voxels per axis follow from the spacing that is drawn
            (0.85 to 1.2 mm). The anatomy is as large as the box allows.

    Returns:
        The image ``(1, I, J, K)``, whole numbers 0 to 255 in about a third of the cases and values
        of some thousands in the others, and the label with 0, 1 (head) and 2 (tail).
    """
    rng = np.random.default_rng(seed)
    in_plane, through = rng.uniform(0.85, 1.2, size=2).round(2)
    spacing = (in_plane, in_plane, through)
    voxels = tuple(max(8, round(n / s)) for n, s in zip(shape, spacing, strict=True))
    grid = _grid(rng, voxels, spacing)

    size = float(np.min(np.asarray(shape) / np.asarray(SHAPE)))
    points = millimetres(voxels, spacing) / size
    unit = [s / size for s in spacing]
    points = points + displacement(rng, voxels, unit, scale_mm=14.0, size_mm=0.9)

    border = 0.42 + 0.02 * rng.standard_normal()
    line, radius = _centre_line(rng, border)
    depth, position = _tube(points, line, radius)
    label = np.where(depth > 0, np.where(position < border, 1, 2), 0).astype(np.uint8)

    tissue = _tissue(rng, points, unit, depth, line)
    tissue = ndimage.gaussian_filter(tissue, 0.5)
    tissue += 0.025 * smooth_noise(rng, voxels, scale=1.5)
    image = np.clip(tissue, 0.02, None) * bias_field(rng, voxels, strength=0.15)
    image = rician(rng, image, sigma=rng.uniform(0.02, 0.04))
    return Volume(_scanner_units(rng, image)[None], grid), LabelVolume(label, grid)


def _grid(rng: np.random.Generator, voxels: Sequence[int], spacing: Sequence[float]) -> Grid:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = rng.uniform(-40, 40, size=3).round(2)
    return Grid(tuple(voxels), affine)


def _centre_line(rng: np.random.Generator, border: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw the tube's centre line ``(200, 3)`` and radius ``(200,)`` in mm, from head to tail.

    The tube narrows around ``border``, which is what a reader would go by.
    """
    t = np.linspace(0, 1, 200)
    bow, rise = rng.uniform(3, 7), rng.uniform(7, 14)
    line = np.stack([bow * np.sin(np.pi * t) - 4, 17 - 35 * t, rise * (t - 0.35) ** 2 - 1], axis=1)
    line += rng.normal(0, 1.0, size=3)
    angle = rng.normal(0, np.deg2rad(5), size=3)
    line = line @ _rotation(angle).T
    head, tail = rng.uniform(6.2, 7.2), rng.uniform(4.2, 5.0)
    return line, tail + (head - tail) / (1 + np.exp((t - border) / 0.04))


def _rotation(angles: np.ndarray) -> np.ndarray:
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[i, j], [i, j]] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def _tube(
    points: np.ndarray, line: np.ndarray, radius: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the depth below the tube's surface in mm (negative outside) and where along it."""
    shape = points.shape[1:]
    distance, nearest = cKDTree(line).query(points.reshape(3, -1).T)
    depth = radius[nearest] - distance
    return depth.reshape(shape), (nearest / (len(line) - 1)).reshape(shape)


def _tissue(
    rng: np.random.Generator,
    points: np.ndarray,
    spacing: Sequence[float],
    depth: np.ndarray,
    line: np.ndarray,
) -> np.ndarray:
    """Paint the tissues: white matter, gyri, fluid, two look-alikes, then the tube itself."""
    shape = points.shape[1:]

    def field(scale_mm: float) -> np.ndarray:
        return smooth_noise(rng, shape, scale=[scale_mm / s for s in spacing])

    tissue = np.full(shape, _WHITE, dtype=np.float32)
    tissue[field(7.0) > 0.4] = _GREY
    tissue[field(6.0) > 1.2] = _CSF

    # A ball before the head, and a thinner tube below that runs along with it.
    centre = line[0] + np.array([0.0, 11.5, 2.0]) + rng.normal(0, 1.0, size=3)
    ball = rng.uniform(4.5, 5.5) - np.linalg.norm(points - centre[:, None, None, None], axis=0)
    below = line + np.array([2.0, 0.0, -11.5]) + rng.normal(0, 0.8, size=3)
    twin, _ = _tube(points, below, np.full(len(line), rng.uniform(3.2, 4.2)))

    gaps = field(6.0) > 1.3
    side = field(10.0) + 0.15 * points[0]
    for shell in (ball, twin, depth):
        rim = (shell > -1.6) & (shell <= 0) & ~gaps
        tissue[rim] = np.where(side[rim] > 0, _CSF, _WHITE)
        tissue[shell > 0] = _TUBE
    return tissue


def _scanner_units(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    if rng.random() < 0.35:
        return np.clip(np.rint(image * rng.uniform(140, 200)), 0, 255).astype(np.float32)
    return (image * rng.uniform(600, 6000)).astype(np.float32)
