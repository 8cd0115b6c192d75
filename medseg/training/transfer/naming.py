"""Which of two lists of names mean the same channel or class."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from medseg.data.formats.sequences import SEQUENCES

Mapping = Sequence[int | None]
"""For each channel of the network the file's channel that it is, or ``None``: it has none."""

# BraTS writes its regions in both ways.
_REGIONS = ({"wt", "whole tumor"}, {"tc", "tumor core"}, {"et", "enhancing tumor"})
_ALIKE = {word: min(words) for words in (*SEQUENCES, *_REGIONS) for word in words}


def by_name(names: Sequence[str | None], theirs: Sequence[str | None]) -> list[int | None]:
    """Map names to the places of the same ones in another list; ``None`` is no name.

    The case of letters does not matter. Where none is the same, one that means the same is taken,
    see `meaning`.
    """
    same, alike = _places(theirs, _folded), _places(theirs, meaning)
    return [
        None if name is None else same.get(_folded(name), alike.get(meaning(name)))
        for name in names
    ]


def meaning(name: str) -> str:
    """Return one word for all names that mean the same.

    ``right_kidney`` is Right Kidney, T1gd is T1ce, and WT is the whole tumour.
    """
    plain = re.sub(r"[\s_-]+", " ", _folded(name)).replace("tumour", "tumor")
    return _ALIKE.get(plain, plain)


def _folded(name: str) -> str:
    return name.strip().casefold()


def _places(names: Sequence[str | None], key: Callable[[str], str]) -> dict[str, int]:
    """Return the first place of each name."""
    found: dict[str, int] = {}
    for place, name in enumerate(names):
        if name is not None:
            found.setdefault(key(name), place)
    return found
