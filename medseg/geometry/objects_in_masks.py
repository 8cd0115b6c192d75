"""From masks to the objects in them, and their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Instances(NamedTuple):
    """Objects of one image.

    Attributes:
        map: int32 ``(*S)``: 0 background, ``i + 1`` object ``i``.
        corners: their boxes, float64 ``(N, 2n)`` in voxel edges (see `medseg.geometry.boxes`).
        values: int64 ``(N,)``, what each comes from: the label of a component, or the value in an
            instance map.
        sizes: int64 ``(N,)``, voxels of each.
    """

    map: np.ndarray
    corners: np.ndarray
    values: np.ndarray
    sizes: np.ndarray


def of_instances(instances: np.ndarray) -> Instances:
    """Take every value but 0 of a map ``(*S)`` of whole numbers as one object.

    Values may have gaps, and an object several pieces.
    """
    found = np.unique(instances)
    values = found[found != 0].astype(np.int64)
    # Numbered without gaps: a map with the one value 60,000 would be 60,000 look-ups.
    dense = (np.searchsorted(values, instances) + 1).astype(np.int32)
    dense[instances == 0] = 0
    return _described(dense, values)


def of_components(
    labels: np.ndarray, values: Sequence[int], *, connectivity: int | None = None, smallest: int = 1
) -> Instances:
    """Take every connected component of each label in ``(*S)`` as one object.

    Args:
        labels: label values or indices.
        values: the labels that have objects; others are background.
        connectivity: how many axes neighbours may differ in, from 1 (faces) to the number of axes
            (corners, too); ``None``: corners, too.
        smallest: components of fewer voxels are no objects, and background.
    """
    from scipy.ndimage import generate_binary_structure, label

    touching = generate_binary_structure(labels.ndim, connectivity or labels.ndim)
    total = np.zeros(labels.shape, dtype=np.int32)
    sources: list[int] = []
    for value in values:
        inside = labels == value
        parts, count = label(inside, structure=touching)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        kept = np.flatnonzero(sizes[1:] >= smallest) + 1
        numbers = np.zeros(count + 1, dtype=np.int32)
        numbers[kept] = np.arange(len(kept)) + len(sources) + 1
        total[inside] = numbers[parts[inside]]
        sources += [int(value)] * len(kept)
    return _described(total, np.array(sources, dtype=np.int64))


def _described(dense: np.ndarray, values: np.ndarray) -> Instances:
    from scipy.ndimage import find_objects

    corners = np.zeros((len(values), 2 * dense.ndim))
    for number, place in enumerate(find_objects(dense, max_label=len(values))):
        corners[number] = [*(part.start for part in place), *(part.stop for part in place)]
    sizes = np.bincount(dense.ravel(), minlength=len(values) + 1)[1:]
    return Instances(dense, corners, values, sizes.astype(np.int64))
