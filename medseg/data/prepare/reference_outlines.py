"""The outlines of a case's objects by its annotation, on its image's own grid."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from medseg.data.case import Case, Dataset
from medseg.data.prepare.instance_maps import read_instances
from medseg.data.prepare.objects import components
from medseg.data.prepare.reading import label_volume, load_mask
from medseg.geometry import Grid
from medseg.labels import IGNORED


class ReferenceOutlines(NamedTuple):
    """What is where in one image.

    Attributes:
        maps: of each class int32 ``(*S)``, 0 background, every other value an object. Regions may
            overlap.
        void: bool ``(*S)``, voxels that nobody labelled.
    """

    maps: tuple[np.ndarray, ...]
    void: np.ndarray


def reference_outlines(case: Case, dataset: Dataset, grid: Grid) -> ReferenceOutlines | None:
    """Read the objects of a case voxel by voxel; ``None`` where only boxes of them are known.

    Args:
        case: of the data set.
        dataset: says what an object is.
        grid: that the mask must share.

    Raises:
        InputError: see `medseg.data.prepare.objects.read_objects`.
    """
    rule, labels = dataset.objects, dataset.labels
    if rule is None or rule.source == "boxes" or case.label is None:
        return None
    value_map = dict(dataset.value_map)
    if rule.source == "instances":
        found = read_instances(case, rule, value_map=value_map, like=grid)
        maps = tuple(
            _only(found.map, found.classes == label) for label in range(len(labels.foreground))
        )
        return ReferenceOutlines(maps, np.zeros(grid.shape, dtype=bool))
    raw = load_mask(case.label, value_map)
    index = label_volume(raw, case.label, labels, value_map=value_map, like=grid).data
    maps = tuple(parts.map for parts in components(index, rule, labels))
    return ReferenceOutlines(maps, index == IGNORED)


def _only(instances: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Keep the objects that are chosen, by their numbers."""
    numbers = np.where(chosen, np.arange(1, len(chosen) + 1), 0)
    return np.append(0, numbers)[instances].astype(np.int32)
