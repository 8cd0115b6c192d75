"""Masks drawn in colours: a colour as the number 0xRRGGBB, and lists of them for messages.

YAML reads ``0xff0000`` as a number, so that a colour map is a value map: ``value_map: {0xff0000: 1,
0x00ff00: 2}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

# Above a byte a key of a value map must be a colour, if the mask has colours.
_LARGEST_GREY = 255


def pack(rgb: np.ndarray) -> np.ndarray:
    """Turn colours ``(…, 3)`` of 0 to 255 into numbers ``(…)``, int32."""
    red, green, blue = np.moveaxis(rgb.astype(np.int32), -1, 0)
    return (red << 16) | (green << 8) | blue


def is_grey(rgb: np.ndarray) -> bool:
    """Tell whether all colours ``(…, 3)`` are shades of grey."""
    return bool((rgb == rgb[..., :1]).all())


def names_colours(value_map: Mapping[int, int]) -> bool:
    """Tell whether a value map speaks of colours: some key is no shade of grey or index."""
    return any(key > _LARGEST_GREY for key in value_map)


def name(colour: int) -> str:
    """Write a colour as in a recipe: ``0xff0000``."""
    return f"0x{int(colour):06x}"


def suggest(colours: Iterable[int]) -> str:
    """Write a value map for colours that have none, for a remedy."""
    pairs = [f"{name(colour)}: {number}" for number, colour in enumerate(colours, start=1)]
    return f"data.value_map={{{', '.join(pairs)}}}"
