"""How large each label is in each frame of a video, as a table: an area over the heartbeat."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from medseg.atomic import replacing

Row = tuple[int, ...]


def measured(
    masks: Iterable[np.ndarray], values: Mapping[str, int], rows: list[Row]
) -> Iterator[np.ndarray]:
    """Pass masks on, and note of each its number, from 0, and the pixels of each value."""
    for number, mask in enumerate(masks):
        rows.append((number, *(int((mask == value).sum()) for value in values.values())))
        yield mask


def write_areas(path: Path, names: Iterable[str], rows: Iterable[Row]) -> None:
    """Write what was `measured` as CSV, whole or not at all: ``frame``, then a label per column.

    Raises:
        InputError: the disk is full or read-only.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("frame", *names))
        table.writerows(rows)
