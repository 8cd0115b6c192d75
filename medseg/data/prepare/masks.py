"""Masks drawn in colours: into numbers, and what to say of a colour that nobody declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medseg.data.formats import colours
from medseg.data.prepare.raw import PICTURES, Raw, suffix
from medseg.labels import LabelScheme

# `Raw.dtype` of a mask whose values are colours, 0xRRGGBB.
COLOURS = "rgb"
_MOST_NAMED = 10


class Undeclared(NamedTuple):
    """What a picture holds beyond its declared labels, and what to do about it; in words."""

    found: str
    remedy: str


def by_colour(raw: Raw, path: Path, value_map: Mapping[int, int]) -> Raw:
    """Turn the colours of a mask into numbers 0xRRGGBB, ``(1, *S)`` int32.

    Palette masks keep their indices, and grey stored as colours its grey values, unless
    ``value_map`` names colours. Whatever is drawn otherwise comes back as it is.
    """
    named = colours.names_colours(value_map)
    if raw.palette is not None and named:
        table = np.zeros(256, dtype=np.int32)
        table[: len(raw.palette)] = colours.pack(raw.palette)
        return replace(raw, data=table[raw.data], dtype=COLOURS, palette=None)
    if suffix(path) not in PICTURES or len(raw.data) != 3 or raw.data.dtype != np.uint8:
        return raw
    rgb = np.moveaxis(raw.data, 0, -1)
    if not named and colours.is_grey(rgb):
        return raw
    return replace(raw, data=colours.pack(rgb)[None], dtype=COLOURS)


def undeclared(raw: Raw, values: np.ndarray, scheme: LabelScheme) -> Undeclared | None:
    """Name the values of a picture that are no labels, and how many pixels have each.

    Args:
        raw: as the file has them, one channel.
        values: ``(*S)`` whole numbers, after the value map.
        scheme: the declared labels.

    Returns:
        ``None`` where the values are neither colours nor indices of a palette.
    """
    if raw.palette is None and raw.dtype != COLOURS:
        return None
    strange = ~np.isin(values, list(scheme.values.values()))
    found, counts = np.unique(raw.data[0][strange], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    named = [f"{_name(raw, found[i])} in {counts[i]} pixels" for i in order[:_MOST_NAMED]]
    if len(found) > _MOST_NAMED:
        named.append(f"{len(found) - _MOST_NAMED} more")
        remedy = "blurred edges make colours of their own: save the mask without smoothing or JPEG"
    elif raw.palette is None:
        remedy = f"add what they mean: {colours.suggest(found[order])}"
    else:
        index = found[order[0]]
        remedy = f"declare it under data.labels, or map it: data.value_map={{{index}: 0}}"
    return Undeclared(f"also {', '.join(named)}", remedy)


def _name(raw: Raw, value: int) -> str:
    if raw.palette is None:
        return f"colour {colours.name(value)}"
    if value >= len(raw.palette):
        return f"index {value}"
    return f"index {value} (colour {colours.name(int(colours.pack(raw.palette[value])))})"
