"""Take the fingerprint of a data set: read every labelled case once, keep numbers only."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medseg.data.case import Case, Dataset, Volume
from medseg.data.prepare.census import explain
from medseg.data.prepare.locations import count_voxels
from medseg.data.prepare.objects import overlaps_of, read_objects, sizes_of
from medseg.data.prepare.pool import Progress, map_cases
from medseg.data.prepare.preprocess import plan_crop, plan_reorient
from medseg.data.prepare.problems import check, problems
from medseg.data.prepare.reading import label_volume, load_mask, read_image
from medseg.errors import InputError
from medseg.geometry.boxes import Boxes
from medseg.labels import LabelScheme, UndeclaredValues, is_foreground
from medseg.objects import ObjectRule
from medseg.planning.fingerprint import CaseFingerprint, Fingerprint, Intensity

# Foreground voxels sampled per case; of many cases fewer each, so that memory is bounded.
SAMPLES_PER_CASE = 10_000
SAMPLES_IN_ALL = 4_000_000
_SEED = 12345
# Percentiles of more voxels than this come from an even subsample of them.
_ENOUGH = 1_000_000

__all__ = ["check", "fingerprint", "problems"]


@dataclass(frozen=True)
class _Taken:
    case: CaseFingerprint
    samples: np.ndarray  # float32 (C, N) of labelled voxels


def fingerprint(
    dataset: Dataset, *, workers: int = 0, progress: Progress | None = None
) -> Fingerprint:
    """Read every labelled case and describe it.

    Args:
        dataset: its ``cases``.
        workers: processes; 0 works in this one.
        progress: called with (cases done, cases in all).

    Raises:
        InputError: there is no case, or a case cannot be read; `InputErrors` names all that fail.
            Values that a label preset does not have end the reading at once, since most of the
            masks will hold them: then the masks alone are read, to say in how many they are.
    """
    if not dataset.cases:
        raise InputError(
            "the data set has no labelled case",
            file=dataset.root,
            expected="images with their labels",
            found=f"{len(dataset.unlabelled)} images without a label",
        )
    samples = min(SAMPLES_PER_CASE, max(1, SAMPLES_IN_ALL // len(dataset.cases)))
    value_map = dict(dataset.value_map)
    how = (len(dataset.channels), dataset.labels, value_map, samples, dataset.objects)
    jobs = [(case.id, (case, *how)) for case in dataset.cases]
    try:
        fatal: tuple[type[InputError], ...] = (UndeclaredValues,) if dataset.preset else ()
        taken = map_cases(_take, jobs, workers=workers, progress=progress, fatal=fatal)
    except UndeclaredValues as error:
        raise explain(error, dataset, workers=workers) from None
    _check_axes([t.case for t in taken])
    together = np.concatenate([t.samples for t in taken], axis=1)
    return Fingerprint(
        channels=dataset.channels,
        labels=dataset.labels.to_dict(),
        cases=tuple(t.case for t in taken),
        foreground=tuple(_intensity(channel) for channel in together),
    )


def _take(
    case: Case,
    channels: int,
    labels: LabelScheme,
    value_map: Mapping[int, int],
    samples: int,
    rule: ObjectRule | None,
) -> _Taken:
    volume = read_image(case, channels=channels)
    annotated = _annotated(case, volume, labels, value_map, rule)
    index = annotated.label
    labelled = is_foreground(index)
    inside = np.flatnonzero(labelled)
    foreground = [channel.reshape(-1)[inside] for channel in volume.data]
    rng = np.random.default_rng([_SEED, zlib.crc32(case.id.encode())])
    picked = (
        rng.choice(len(inside), samples, replace=False) if len(inside) > samples else slice(None)
    )
    axes, orientation = _canonical(volume)
    cut = plan_crop(volume.data, volume.grid)
    cropped = [b - a for a, b in zip(cut.start, cut.stop, strict=True)]
    notes = list(dict.fromkeys((*volume.header.notes, *annotated.notes)))
    outside = len(inside) - np.count_nonzero(
        labelled[tuple(slice(a, b) for a, b in zip(cut.start, cut.stop, strict=True))]
    )
    if outside:
        notes.append(f"{outside} labelled voxels lie outside the non-zero image")
    content = hashlib.blake2b(volume.data.data, digest_size=8).hexdigest()
    boxes = annotated.boxes
    described = CaseFingerprint(
        id=case.id,
        shape=tuple(volume.grid.shape[a] for a in axes),
        spacing=tuple(volume.grid.spacing[a] for a in axes),
        orientation=orientation,
        cropped_shape=tuple(cropped[a] for a in axes),
        image_dtype=volume.header.dtype,
        label_dtype=annotated.dtype,
        foreground=tuple(_intensity(values) for values in foreground),
        nonzero=tuple(_intensity(channel[channel != 0]) for channel in volume.data),
        label_voxels=count_voxels(index, len(labels.values)),
        content=content,
        notes=tuple(notes),
        objects=None if boxes is None else sizes_of(boxes, volume.grid.spacing, axes),
        overlaps=() if boxes is None else overlaps_of(boxes),
    )
    return _Taken(described, np.stack([values[picked] for values in foreground]))


class _Annotated(NamedTuple):
    """Label indices ``(*S)`` of a case, the type and oddities of their file, and objects if any."""

    label: np.ndarray
    dtype: str
    notes: tuple[str, ...]
    boxes: Boxes | None


def _annotated(
    case: Case,
    volume: Volume,
    labels: LabelScheme,
    value_map: Mapping[int, int],
    rule: ObjectRule | None,
) -> _Annotated:
    if rule is not None:
        found = read_objects(case, volume, rule, labels, value_map=value_map)
        return _Annotated(found.label.data, found.dtype, found.notes, found.boxes)
    if case.label is None:
        raise InputError("the case has no label", file=case.images[0])
    path = Path(case.label)
    raw = load_mask(path, value_map)
    index = label_volume(raw, path, labels, value_map=value_map, like=volume).data
    return _Annotated(index, raw.dtype, raw.notes, None)


def _check_axes(cases: Sequence[CaseFingerprint]) -> None:
    flat = [c.id for c in cases if len(c.shape) == 2]
    if flat and len(flat) < len(cases):
        deep = next(c.id for c in cases if len(c.shape) == 3)
        raise InputError(
            "the data set mixes pictures and volumes",
            expected="2 axes in every case, or 3",
            found=f"{len(flat)} of {len(cases)} cases have 2, such as {flat[0]}; {deep} has 3",
            remedy="make two data sets of them",
        )


def _canonical(volume: Volume) -> tuple[Sequence[int], str | None]:
    """Give the axis order that RAS takes, and the codes of the file's own."""
    if volume.grid.ndim == 2:
        return (0, 1), None
    from nibabel.orientations import aff2axcodes

    return plan_reorient(volume.grid, "RAS").axes, "".join(aff2axcodes(volume.grid.affine))


def _intensity(values: np.ndarray) -> Intensity | None:
    values = values.reshape(-1)
    if not values.size:
        return None
    some = values[:: -(-values.size // _ENOUGH)]
    low, middle, high = np.percentile(some, (0.5, 50.0, 99.5))
    return Intensity(
        count=int(values.size),
        min=float(values.min()),
        max=float(values.max()),
        mean=float(values.mean(dtype=np.float64)),
        std=float(values.std(dtype=np.float64)),
        p00_5=float(low),
        median=float(middle),
        p99_5=float(high),
    )
