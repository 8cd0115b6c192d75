"""A picture file of boxes on a volume or a picture, from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medseg.atomic import replacing
from medseg.geometry import Grid
from medseg.geometry.boxes import Boxes

if TYPE_CHECKING:
    from medseg.data.case import Volume


def draw_boxes(
    volume: Volume | np.ndarray,
    boxes: Boxes,
    path: Path | str,
    *,
    reference: Boxes | None = None,
    grid: Grid | None = None,
    classes: Sequence[str] = (),
    window: tuple[float, float] | None = None,
    channels: int = 4,
    size: int = 512,
    at_most: int = 8,
) -> None:
    """Write a PNG of the slices through the middles of boxes, with all boxes that lie there.

    Boxes are outlined in the colour of their class, with their scores if they have any; those of
    the reference are a tint. Axial slices lie as radiologists read them, below each other; a
    picture (2D) lies as it is.

    Args:
        volume: a `Volume`, as `medseg.data.prepare.reading.read_image` gives it, or an array
            ``(C, *S)`` or ``(*S)``.
        boxes: in voxel edges of it.
        path: of the PNG.
        reference: boxes that should be found; slices lead through these, too.
        grid: of an array whose axes are not RAS; a `Volume` knows its own.
        classes: names, shown if there are several.
        window: values that are black and white, such as ``(-1350, 150)`` for lungs; default: all
            but the half percent at either end of each slice.
        channels: how many channels to show at most, side by side.
        size: small slices are enlarged by a whole factor towards this many pixels.
        at_most: slices; those of the first boxes. Without boxes the middle one is shown.

    Raises:
        InputError: the file cannot be written.
        ValueError: boxes and volume differ in their axes.
    """
    from PIL import Image

    from medseg.tracking.box_overlays import middle_slices, picture_of

    reference = Boxes.none(boxes.ndim) if reference is None else reference
    image = volume if isinstance(volume, np.ndarray) else volume.data
    grid = grid if isinstance(volume, np.ndarray) else volume.grid
    image = image[None] if image.ndim == boxes.ndim else image
    slices: list[int] = []
    if boxes.ndim == 3 and image.ndim == 4:
        if grid is not None:
            image, boxes, reference = _as_ras(image, boxes, reference, grid)
        depth = image.shape[-1]
        slices = middle_slices(boxes, depth) + middle_slices(reference, depth)
        slices = list(dict.fromkeys(slices))[:at_most] or [depth // 2]
    picture = picture_of(
        image[:channels],
        boxes,
        reference,
        classes=classes,
        slices=slices,
        size=size,
        window=window,
    )
    with replacing(Path(path)) as temporary:
        Image.fromarray(picture.drawn()).save(temporary, format="PNG")


def draw_telling(
    volume: Volume,
    boxes: Boxes,
    path: Path,
    *,
    reference: Boxes,
    classes: Sequence[str] = (),
    size: int = 512,
) -> None:
    """Write a PNG of the slices that tell most, see `medseg.tracking.box_overlays.box_overlay`.

    Args:
        volume: the image.
        boxes: what was found, with scores, in voxel edges of it.
        path: of the PNG.
        reference: what should be found.
        classes: names.
        size: small slices are enlarged by a whole factor towards this many pixels.

    Raises:
        InputError: the file cannot be written.
    """
    from PIL import Image

    from medseg.tracking.box_overlays import box_overlay

    image = volume.data
    if boxes.ndim == 3:
        image, boxes, reference = _as_ras(image, boxes, reference, volume.grid)
    picture = box_overlay(image, reference, boxes, classes=classes, size=size)
    with replacing(path) as temporary:
        Image.fromarray(picture.drawn()).save(temporary, format="PNG")


def _as_ras(
    image: np.ndarray, boxes: Boxes, reference: Boxes, grid: Grid
) -> tuple[np.ndarray, Boxes, Boxes]:
    """Bring a volume and its boxes to the axes that slices are shown by."""
    from medseg.data.prepare.moving_boxes import prepare_boxes
    from medseg.data.prepare.preprocess import plan_reorient
    from medseg.data.prepare.steps import reorient

    step = plan_reorient(grid)
    mine, theirs = (
        Boxes(prepare_boxes([step], of.corners), of.classes, of.scores) for of in (boxes, reference)
    )
    return reorient(image, step), mine, theirs
