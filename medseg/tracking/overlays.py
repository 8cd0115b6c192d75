"""A picture of one case: image in grey, reference as a tint, prediction as a contour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medseg.labels import is_foreground

# Okabe & Ito's palette without black: told apart by colour-blind readers too.
COLOURS = np.array(
    [(86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66), (213, 94, 0)],
    dtype=np.float32,
)
_TINT = 0.35


def overlay(
    image: np.ndarray,
    target: np.ndarray | None,
    preds: np.ndarray,
    *,
    channels: int = 4,
    size: int = 256,
) -> np.ndarray:
    """Draw the slice that shows most of the reference.

    Axial slices lie as radiologists read them (anterior up, the patient's right at the left), given
    that the axes are RAS; pictures (2D) lie as they are. The channels stand side by side.

    Args:
        image: ``(C, I, J, K)`` or ``(C, I, J)``, any scale.
        target: label indices ``(I, J, K)`` or ``(I, J)``; ``None`` where there is no reference.
            Voxels to ignore are left grey.
        preds: label indices of the same shape.
        channels: how many channels to show at most.
        size: small slices are enlarged by a whole factor towards this many pixels.

    Returns:
        uint8 ``(H, W, 3)``.
    """
    image = np.asarray(image)[:channels]
    preds = np.asarray(preds)
    target = np.zeros_like(preds) if target is None else np.asarray(target)
    target = np.where(is_foreground(target), target, 0)
    if image.shape[1:] != preds.shape or preds.shape != target.shape:
        raise ValueError(f"shapes differ: {image.shape[1:]}, {target.shape}, {preds.shape}")
    if preds.ndim == 3:
        k = best_slice(target, preds)
        image = upright(image[..., k])
        target, preds = upright(target[..., k]), upright(preds[..., k])
    factor = max(1, size // max(preds.shape))
    image, target, preds = (enlarged(a, factor) for a in (image, target, preds))
    return np.concatenate([_tile(channel, target, preds) for channel in image], axis=1)


def best_slice(target: np.ndarray, preds: np.ndarray) -> int:
    """Return the last axis's index with the largest reference, else prediction, else the middle.

    The reference goes first, so that a case shows the same slice at each validation.
    """
    for label in (target, preds):
        area = np.count_nonzero(label, axis=tuple(range(label.ndim - 1)))
        if area.any():
            return int(area.argmax())
    return target.shape[-1] // 2


def contour(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask ``(H, W)`` that touch its outside; the border is outside."""
    inside = np.pad(mask, 1)
    core = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    return mask & ~core


def same_size(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Centre pictures ``(H, W, 3)`` on black, all as high and wide as the largest of them."""
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    out = []
    for picture in pictures:
        down, right = height - picture.shape[0], width - picture.shape[1]
        margins = ((down // 2, down - down // 2), (right // 2, right - right // 2), (0, 0))
        out.append(np.pad(picture, margins))
    return out


def upright(plane: np.ndarray) -> np.ndarray:
    """Turn ``(…, I, J)`` with I to the right and J to the front into rows and columns."""
    return plane.swapaxes(-1, -2)[..., ::-1, ::-1]


def enlarged(plane: np.ndarray, factor: int) -> np.ndarray:
    """Repeat each pixel of ``(…, H, W)`` ``factor`` times along both axes."""
    return plane.repeat(factor, axis=-2).repeat(factor, axis=-1)


def in_grey(channel: np.ndarray, window: tuple[float, float] | None = None) -> np.ndarray:
    """Return ``(H, W)`` of any scale as float32 ``(H, W, 3)``, 0 to 255.

    Args:
        channel: the plane.
        window: values that are black and white; default: all but the half percent at either end.
    """
    low, high = np.percentile(channel, (0.5, 99.5)) if window is None else window
    grey = (channel - low) / max(float(high - low), 1e-6) * 255
    return np.repeat(np.clip(grey, 0, 255)[..., None], 3, axis=-1).astype(np.float32)


def _tile(channel: np.ndarray, target: np.ndarray, preds: np.ndarray) -> np.ndarray:
    out = in_grey(channel)
    for label in np.union1d(np.unique(target), np.unique(preds)):
        if label == 0:
            continue
        colour = COLOURS[(int(label) - 1) % len(COLOURS)]
        inside = target == label
        out[inside] = (1 - _TINT) * out[inside] + _TINT * colour
        out[contour(preds == label)] = colour
    return out.round().astype(np.uint8)
