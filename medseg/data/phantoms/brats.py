"""Four registered, skull-stripped modalities and a tumour of nested regions, as in BraTS.

Oedema surrounds the core; the core is an enhancing shell around necrosis. Each boundary shows in
other modalities: FLAIR and T2 give the whole tumour, contrast-enhanced T1 the shell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from medseg.data.case import LabelVolume, Volume
from medseg.data.phantoms.fields import (
    bias_field,
    displacement,
    millimetres,
    rician,
    smooth_noise,
)
from medseg.geometry import Grid

CHANNELS = ("FLAIR", "T1", "T1ce", "T2")
SHAPE = (64, 64, 48)
EXTENT_MM = (160.0, 160.0, 120.0)

# Grey of each tissue per modality, white matter around 0.6.
_CONTRAST = {
    "csf": (0.15, 0.20, 0.20, 1.00),
    "grey": (0.62, 0.48, 0.50, 0.62),
    "white": (0.50, 0.68, 0.70, 0.45),
    "necrosis": (0.45, 0.30, 0.30, 0.88),
    "oedema": (0.98, 0.44, 0.46, 0.86),
    "enhancing": (0.80, 0.50, 1.10, 0.68),
}
_NECROSIS, _OEDEMA, _ENHANCING = 1, 2, 3


def make_brats_case(
    seed: int | Sequence[int], *, shape: Sequence[int] = SHAPE
) -> tuple[Volume, LabelVolume]:
    """Make one case.

    Args:
        seed: the case's own seed.
        shape: voxels per axis of a box of 160 × 160 × 120 mm.

    Returns:
        The image ``(4, I, J, K)`` in the order of `CHANNELS`, zero outside the brain, and the label
        with 0, 1 (necrosis), 2 (oedema) and 3 (enhancing). The axes run left, posterior, superior,
        as in BraTS files.
    """
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in shape)
    spacing = tuple(mm / n for mm, n in zip(EXTENT_MM, shape, strict=True))
    points = millimetres(shape, spacing)
    points = points + displacement(rng, shape, spacing, scale_mm=35.0, size_mm=3.0)

    inside = 1 - np.linalg.norm(points / _column(rng.normal((64, 72, 50), 2.5)), axis=0)
    brain = inside > 0
    label = _tumour(rng, points, spacing, brain)
    weights = _tissues(rng, points, spacing, inside, label)
    channels = [_modality(rng, weights, index, brain) for index in range(len(CHANNELS))]

    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    affine[1, 3] = (shape[1] - 1) * spacing[1]
    grid = Grid(shape, affine)
    return Volume(np.stack(channels), grid), LabelVolume(label, grid)


def _column(vector: ArrayLike) -> np.ndarray:
    return np.asarray(vector, dtype=np.float32).reshape(3, 1, 1, 1)


def _tumour(
    rng: np.random.Generator, points: np.ndarray, spacing: Sequence[float], brain: np.ndarray
) -> np.ndarray:
    """Place the tumour in one hemisphere; its three surfaces are deformed one by one."""
    side = rng.choice([-1.0, 1.0])
    centre = rng.uniform((18, -30, -14), (32, 30, 18)) * (side, 1, 1)
    core = rng.uniform(13, 19)
    oedema, necrosis = core + rng.uniform(7, 12), core * rng.uniform(0.5, 0.68)
    shape = brain.shape
    label = np.zeros(shape, dtype=np.uint8)
    stretch = _column(rng.uniform(0.85, 1.2, size=3))
    distance = np.linalg.norm((points - _column(centre)) / stretch, axis=0)

    def surface(radius: float, roughness: float) -> np.ndarray:
        rough = smooth_noise(rng, shape, scale=[12.0 / s for s in spacing])
        return distance + roughness * rough < radius

    whole = surface(oedema, 3.0) & brain
    solid = surface(core, 1.8) & whole
    dead = surface(necrosis, 1.5) & solid
    label[whole] = _OEDEMA
    label[solid] = _ENHANCING
    label[dead] = _NECROSIS
    return label


def _tissues(
    rng: np.random.Generator,
    points: np.ndarray,
    spacing: Sequence[float],
    inside: np.ndarray,
    label: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return each tissue's share of every voxel; the shares are blurred, as partial volume is."""
    folds = smooth_noise(rng, label.shape, scale=[9.0 / s for s in spacing])
    ventricle = np.linalg.norm(
        (np.abs(points) - _column((9.0, 0.0, 4.0))) / _column((6.0, 22.0, 10.0)), axis=0
    )
    names = np.full(label.shape, "white", dtype="<U9")
    names[inside + 0.05 * folds < 0.13] = "grey"
    names[(inside < 0.3) & (folds > 0.7)] = "grey"
    names[(inside < 0.1) & (folds < -0.9)] = "csf"
    names[ventricle < 1] = "csf"
    names[label == _NECROSIS] = "necrosis"
    names[label == _OEDEMA] = "oedema"
    names[label == _ENHANCING] = "enhancing"
    return {
        name: ndimage.gaussian_filter((names == name).astype(np.float32), 0.45)
        for name in _CONTRAST
    }


def _modality(
    rng: np.random.Generator, weights: dict[str, np.ndarray], index: int, brain: np.ndarray
) -> np.ndarray:
    image = np.zeros(brain.shape, dtype=np.float32)
    for name, share in weights.items():
        image += share * _CONTRAST[name][index] * rng.normal(1.0, 0.04)
    image += 0.04 * smooth_noise(rng, brain.shape, scale=3.0)
    shaded = np.clip(image, 0.02, None) * bias_field(rng, brain.shape, strength=0.12)
    stored = rician(rng, shaded, sigma=rng.uniform(0.02, 0.045)) * rng.uniform(400, 2500)
    # At least 1 inside, so that zero means outside the brain and nothing else.
    return np.where(brain, np.maximum(np.rint(stored), 1), 0).astype(np.float32)
