"""Boxes on pictures: the reference as a tint, predictions as outlines with their scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from medseg.geometry.boxes import Boxes
from medseg.tracking.overlays import COLOURS, same_size

_TINT = 0.3
_IGNORED = np.array([128, 128, 128], dtype=np.float32)
# A line as thin as a pixel is lost in a picture that is shown smaller than it is.
_PIXELS_PER_LINE = 512


class Rectangle(NamedTuple):
    """A box as it lies in a picture, in pixel edges from the upper left corner.

    Attributes:
        top, left, bottom, right: it holds the pixels ``[top:bottom, left:right]``.
        label: index of the class; below 0: it counts neither way.
        score: of a prediction that has one.
        reference: whether it is one that should be found.
    """

    top: int
    left: int
    bottom: int
    right: int
    label: int
    score: float | None = None
    reference: bool = False

    def moved(self, down: int, right: int) -> Rectangle:
        """Shift it by whole pixels."""
        return self._replace(
            top=self.top + down,
            bottom=self.bottom + down,
            left=self.left + right,
            right=self.right + right,
        )


class BoxPicture(NamedTuple):
    """A picture and the boxes that belong on it; W&B draws them itself.

    Attributes:
        plain: uint8 ``(H, W, 3)``.
        rectangles: what is on it.
        classes: names.
    """

    plain: np.ndarray
    rectangles: tuple[Rectangle, ...]
    classes: tuple[str, ...]

    def name_of(self, label: int) -> str:
        """Return the name of a class."""
        if label < 0:
            return "ignored"
        return self.classes[label] if label < len(self.classes) else str(label)

    def drawn(self) -> np.ndarray:
        """Return uint8 ``(H, W, 3)`` with the boxes on it."""
        out = self.plain.astype(np.float32)
        width = max(1, round(max(out.shape[:2]) / _PIXELS_PER_LINE))
        for one in self.rectangles:
            if one.reference:
                inside = out[one.top : one.bottom, one.left : one.right]
                inside[:] = (1 - _TINT) * inside + _TINT * colour_of(one.label)
        # The surest lie on top.
        found = sorted((r for r in self.rectangles if not r.reference), key=lambda r: r.score or 0)
        for one in found:
            outline(out, one, width=width)
        picture = out.round().astype(np.uint8)
        labels = [(one, self._text(one)) for one in found]
        return _with_text(picture, [(one, text) for one, text in labels if text])

    def _text(self, one: Rectangle) -> str:
        parts = [self.name_of(one.label)] if len(self.classes) > 1 else []
        return " ".join(parts + ([] if one.score is None else [f"{one.score:.2f}"]))


def rectangles(
    boxes: Boxes, *, reference: bool = False, factor: int = 1, shape: Sequence[int]
) -> list[Rectangle]:
    """Return boxes of a picture ``(H, W)``, enlarged by a whole factor, as they lie in it.

    Those that lie outside are left out; one that is thinner than a pixel gets one.
    """
    height, width = (n * factor for n in shape)
    out = []
    for number, (i0, j0, i1, j1) in enumerate(boxes.corners * factor):
        top, bottom = _pixels(i0, i1, height)
        left, right = _pixels(j0, j1, width)
        if top < bottom and left < right:
            score = None if boxes.scores is None else float(boxes.scores[number])
            label = int(boxes.classes[number])
            out.append(Rectangle(top, left, bottom, right, label, score, reference))
    return out


def outline(picture: np.ndarray, one: Rectangle, *, width: int) -> None:
    """Draw the border of a rectangle into float32 ``(H, W, 3)``; the line lies inside of it."""
    colour = colour_of(one.label)
    inside = picture[one.top : one.bottom, one.left : one.right]
    for line in (inside[:width], inside[-width:], inside[:, :width], inside[:, -width:]):
        line[:] = colour


def colour_of(label: int) -> np.ndarray:
    """Return red, green and blue of a class, as masks have them; grey of what is ignored."""
    return COLOURS[label % len(COLOURS)] if label >= 0 else _IGNORED


def of_one_size(pictures: Sequence[BoxPicture]) -> list[BoxPicture]:
    """Centre pictures on black, all as high and wide as the largest, with their boxes."""
    out = []
    for before, plain in zip(pictures, same_size([p.plain for p in pictures]), strict=True):
        down, right = ((plain.shape[a] - before.plain.shape[a]) // 2 for a in (0, 1))
        moved = tuple(one.moved(down, right) for one in before.rectangles)
        out.append(BoxPicture(plain, moved, before.classes))
    return out


def _pixels(low: float, high: float, length: int) -> tuple[int, int]:
    """Round two edges to pixels of ``[0, length)``; nothing between them outside of it."""
    if high <= 0 or low >= length:
        return 0, 0
    first = min(max(0, round(low)), length - 1)
    return first, min(max(first + 1, round(high)), length)


def _with_text(picture: np.ndarray, labels: Sequence[tuple[Rectangle, str]]) -> np.ndarray:
    """Write a line above each rectangle, or below the one that has no room above."""
    if not labels:
        return picture
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(picture)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default()
    for one, text in labels:
        _, _, wide, high = pen.textbbox((0, 0), text, font=font)
        top = one.top - high - 1 if one.top > high else one.bottom + 1
        left = max(0, min(one.left, picture.shape[1] - int(wide)))
        colour = tuple(int(c) for c in colour_of(one.label))
        pen.text((left, top), text, fill=colour, font=font, stroke_width=1, stroke_fill=(0, 0, 0))
    return np.asarray(image)
