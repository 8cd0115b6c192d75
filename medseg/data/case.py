"""A case and its files; a volume and its grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medseg.data.annotation import Annotation
from medseg.geometry import Grid
from medseg.labels import LabelScheme
from medseg.objects import ObjectRule


@dataclass(frozen=True)
class Case:
    """One examination: the files of its channels and, if known, of its label.

    Attributes:
        id: unique in the data set; names the outputs.
        images: one file per channel in the order of `Dataset.channels`, or a single file that holds
            all of them (a 4D NIfTI, an RGB picture).
        label: the reference mask, or ``None``.
        group: what must not straddle folds (the patient); ``None``: the case itself.
        guide: the mask that an earlier stage made of these images, or ``None``.
        annotation: the objects that were drawn in the image, where there is no mask of them.
        instances: of a ``label`` that numbers objects: pairs of a value and the class of that
            object, an index into the foreground classes; empty: there is no object; ``None``: all
            that there are are of the first.
    """

    id: str
    images: tuple[Path, ...]
    label: Path | None = None
    group: str | None = None
    guide: Path | None = None
    annotation: Annotation | None = None
    instances: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True)
class Dataset:
    """What a data format reads from a folder.

    Attributes:
        format: name of the format that read it.
        root: the folder.
        cases: the cases with a label, sorted by id.
        unlabelled: the cases without.
        channels: channel names in order (``("FLAIR", "T1w", "T1gd", "T2w")``, ``("CT",)``).
        labels: the label scheme.
        value_map: file value -> label value, applied when a label file is read (``{255: 1}``).
        notes: what was odd about the folder, in words for the user; never fatal.
        splits: the folds that the data set itself declares (a ``fold`` column), as
            ``{"train": [ids], "val": [ids]}`` each; empty where it declares none.
        preset: name of the label preset that the labels come from, or an empty string.
        objects: what is one object, of a data set whose objects are to be found; ``None``: of one
            that is to be segmented.
    """

    format: str
    root: Path
    cases: tuple[Case, ...]
    channels: tuple[str, ...]
    labels: LabelScheme
    unlabelled: tuple[Case, ...] = ()
    value_map: Mapping[int, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    splits: tuple[Mapping[str, list[str]], ...] = ()
    preset: str = ""
    objects: ObjectRule | None = None


class Volume(NamedTuple):
    """An image in memory: ``data`` float32 ``(C, I, J, K)`` or ``(C, I, J)``, and its grid.

    ``guide`` is what an earlier stage found in it: label indices, uint8, of the same spatial shape.
    """

    data: np.ndarray
    grid: Grid
    header: Any = None
    guide: np.ndarray | None = None


class LabelVolume(NamedTuple):
    """A mask in memory: ``data`` of label *indices*, uint8 ``(I, J, K)`` or ``(I, J)``."""

    data: np.ndarray
    grid: Grid
