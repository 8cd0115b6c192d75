"""A 2D picture of cells under uneven light, with debris of the cells' own brightness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from medseg.data.case import LabelVolume, Volume
from medseg.data.phantoms.fields import bias_field, smooth_noise
from medseg.geometry import Grid

SHAPE = (96, 96)


def make_cells_case(
    seed: int | Sequence[int], *, shape: Sequence[int] = SHAPE
) -> tuple[Volume, LabelVolume]:
    """Make one picture ``(1, I, J)`` of whole numbers 0 to 255 and its mask of 0 and 1."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in shape)
    place = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")).astype(float)
    place += 1.2 * np.stack([smooth_noise(rng, shape, scale=8.0) for _ in shape])
    mask = np.zeros(shape, dtype=np.uint8)
    grey = np.full(shape, 0.25) + 0.05 * smooth_noise(rng, shape, scale=10.0)
    area = float(np.prod(shape))
    for _ in range(max(3, int(area / 900))):
        inside = _ellipse(rng, place, shape, rng.uniform(5, 9, size=2))
        mask[inside] = 1
        grey[inside] = rng.uniform(0.45, 0.65)
    for _ in range(max(2, int(area / 1200))):
        speck = _ellipse(rng, place, shape, rng.uniform(1.0, 2.2, size=2)) & (mask == 0)
        grey[speck] = rng.uniform(0.45, 0.7)
    grey = ndimage.gaussian_filter(grey, 0.8) * bias_field(rng, shape, strength=0.2)
    grey += 0.04 * rng.standard_normal(shape)
    picture = np.clip(np.rint(255 * grey), 0, 255).astype(np.float32)
    grid = Grid.from_spacing(shape)
    return Volume(picture[None], grid), LabelVolume(mask, grid)


def _ellipse(
    rng: np.random.Generator, place: np.ndarray, shape: Sequence[int], radii: np.ndarray
) -> np.ndarray:
    centre = rng.uniform(0, shape)
    angle = rng.uniform(0, np.pi)
    y, x = place[0] - centre[0], place[1] - centre[1]
    u = (y * np.cos(angle) + x * np.sin(angle)) / radii[0]
    v = (x * np.cos(angle) - y * np.sin(angle)) / radii[1]
    return u**2 + v**2 < 1
