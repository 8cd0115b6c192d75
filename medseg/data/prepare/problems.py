"""What is odd about a data set, in words, from its fingerprint alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from math import log10
from pathlib import Path
from statistics import median

from medseg.data.case import Dataset
from medseg.data.formats.files import count
from medseg.data.prepare.census import fitting
from medseg.data.prepare.object_problems import object_problems
from medseg.errors import InputError, InputErrors
from medseg.labels import LabelScheme
from medseg.planning.fingerprint import CaseFingerprint, Fingerprint

# One scanner's values span about one order of magnitude over patients; two ask for an explanation.
_INTENSITY_SPAN = 100.0
_SPACING_OUTLIER = 1.5
_ANISOTROPIC = 3.0
_TINY_VOXELS = 50
_MOST_NAMES = 5
# Air is -1000 HU; scanners fill what lies outside of their circle with values down to -3024.
_AIR = (-3100.0, -900.0)


def problems(fingerprint: Fingerprint, *, modalities: Sequence[str] | None = None) -> list[str]:
    """Name what a user should know before training; nothing here stops it.

    Args:
        fingerprint: of the data set.
        modalities: what each channel is taken for (``ct`` or another); ``None``: by their names.

    Returns:
        One sentence each; empty where there is nothing to say.
    """
    shown = [m.lower() for m in (fingerprint.modalities if modalities is None else modalities)]
    return [
        *_types(fingerprint),
        *_intensities(fingerprint, shown),
        *_taken_for_another(fingerprint, shown),
        *(object_problems(fingerprint) if _finds(fingerprint) else _labels(fingerprint)),
        *_geometry(fingerprint),
        *_duplicates(fingerprint),
        *_files(fingerprint),
    ]


def _finds(fingerprint: Fingerprint) -> bool:
    """Tell whether objects are to be found; masks are then painted, or say where objects are."""
    return any(case.objects is not None for case in fingerprint.cases)


def looks_like_ct(fingerprint: Fingerprint, channel: int) -> bool:
    """Tell whether a channel holds Hounsfield units by its values: whole numbers, least in air.

    So it must be in more than half of the cases. CT cut out without any air is not recognised.
    """
    stats = [s for case in fingerprint.cases if (s := case.nonzero[channel])]
    airy = [s for s in stats if _AIR[0] <= s.min <= _AIR[1] and s.min % 1 == s.max % 1 == 0]
    return 2 * len(airy) > len(fingerprint.cases)


def check(fingerprint: Fingerprint, dataset: Dataset, *, empty_labels: bool = False) -> None:
    """Refuse labels that cannot be learnt from.

    Args:
        fingerprint: of ``dataset``.
        dataset: says which files the cases have.
        empty_labels: accept cases whose label is all background (healthy ones).

    Raises:
        InputErrors: naming every class, or region, that no case has and, unless accepted, the label
            file of every case that is all background.
    """
    found: list[InputError] = []
    values = fingerprint.labels["values"]
    if len(_absent(fingerprint)) == len(values) - 1:
        raise InputError(
            "no case has a voxel of any class",
            file=dataset.root,
            expected=f"some of {[v for v in values.values() if v]} in at least one label file",
            found=f"only background in {len(fingerprint.cases)} label files",
            remedy="check data.labels and data.value_map",
        )
    found += _nowhere(fingerprint, dataset)
    files = {case.id: case.label for case in dataset.cases}
    for case in _empty(fingerprint):
        if not empty_labels:
            found.append(
                InputError(
                    f"case {case.id}: the label is all background",
                    file=files.get(case.id) or Path(case.id),
                    expected=f"some of {[v for v in values.values() if v]}",
                    found="only 0",
                    remedy="remove the case, or accept healthy cases: data.empty_labels=true",
                )
            )
    if found:
        raise InputErrors(found)


def _nowhere(fp: Fingerprint, dataset: Dataset) -> Iterable[InputError]:
    """Name each output that no case has: it would be learnt as all background.

    Of regions, only these count: BraTS may do without a class where others make up its regions.
    """
    scheme = LabelScheme.from_dict(fp.labels)
    what, key = ("region", "data.regions") if scheme.regions else ("class", "data.labels")
    declared = tuple(scheme.values.values())
    there = [v for i, v in enumerate(declared) if i and any(c.label_voxels[i] for c in fp.cases)]
    fits = fitting(dataset, there, exactly=True)
    other = f"; the label preset {fits[0]} has the values found" if fits else ""
    for name, members in zip(scheme.foreground, scheme.region_indices(), strict=True):
        if any(case.label_voxels[i] for case in fp.cases for i in members):
            continue
        yield InputError(
            f"no case has a voxel of {what} {name!r}",
            file=dataset.root,
            expected=f"value {' or '.join(str(declared[i]) for i in members)} in at least one "
            "label file",
            found=f"none in {len(fp.cases)} label files, which hold {there}",
            remedy=f"leave it out of {key}, or check data.labels and data.value_map{other}",
        )


def _types(fp: Fingerprint) -> Iterable[str]:
    for what, kinds in (
        ("images", Counter(c.image_dtype for c in fp.cases)),
        ("labels", Counter(c.label_dtype for c in fp.cases)),
    ):
        if len(kinds) > 1:
            listed = ", ".join(f"{kind} ({count(n, 'case')})" for kind, n in kinds.most_common())
            yield f"the {what} are stored in different types: {listed}"


def _intensities(fp: Fingerprint, modalities: Sequence[str]) -> Iterable[str]:
    for number, channel in enumerate(fp.channels):
        tops = [(s.max, c.id) for c in fp.cases if (s := c.nonzero[number])]
        empty = [c.id for c in fp.cases if c.nonzero[number] is None]
        if empty:
            yield f"channel {channel} is all zeros in {_names(empty)}"
        constant = [
            c.id for c in fp.cases if (s := c.nonzero[number]) and s.min == s.max and s.count > 1
        ]
        if constant:
            yield f"channel {channel} has one single non-zero value in {_names(constant)}"
        positive = sorted(t for t in tops if t[0] > 0)
        if positive and positive[-1][0] > _INTENSITY_SPAN * positive[0][0]:
            (low, low_id), (high, high_id) = positive[0], positive[-1]
            remedy = (
                "Hounsfield units would not: check the rescale slope"
                if modalities[number] == "ct"
                else "normalise each case by itself (zscore)"
            )
            yield (
                f"the intensity maxima of channel {channel} reach from {_number(low)} ({low_id}) "
                f"to {_number(high)} ({high_id}), {log10(high / low):.1f} orders of magnitude; "
                f"{remedy}"
            )


def _taken_for_another(fp: Fingerprint, modalities: Sequence[str]) -> Iterable[str]:
    for number, channel in enumerate(fp.channels):
        if modalities[number] in ("other", "mr") and looks_like_ct(fp, number):
            key = "data.modality=ct" if len(fp.channels) == 1 else f"data.channels, {channel}: ct,"
            yield (
                f"the values of channel {channel} look like Hounsfield units of CT: {key} scales "
                "them as such, mr image by image"
            )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _labels(fp: Fingerprint) -> Iterable[str]:
    for name in _absent(fp):
        yield f"no case has a voxel of class {name!r}"
    empty = [c.id for c in _empty(fp)]
    if empty:
        yield f"the label is all background in {_names(empty)}"
    for index, name in enumerate(fp.labels["values"]):
        present = [c.label_voxels[index] for c in fp.cases if c.label_voxels[index]]
        if index and present and median(present) < _TINY_VOXELS:
            yield f"class {name!r} is tiny: {median(present):g} voxels in the median case"
        if index and present and len(present) < 0.1 * len(fp.cases):
            yield f"class {name!r} is rare: in {len(present)} of {len(fp.cases)} cases"


def _geometry(fp: Fingerprint) -> Iterable[str]:
    turned = Counter(c.orientation for c in fp.cases if c.orientation)
    if len(turned) > 1:
        listed = ", ".join(f"{codes} ({count(n, 'case')})" for codes, n in turned.most_common())
        yield f"the images lie in different orientations: {listed}; all are turned to RAS"
    middle = fp.median_spacing
    shown = " × ".join(f"{s:.3g}" for s in middle)
    far = [c.id for c in fp.cases if _off(c.spacing, middle) > _SPACING_OUTLIER]
    if far:
        yield (
            f"the spacing is over {_SPACING_OUTLIER} times off the median {shown} mm "
            f"in {_names(far)}"
        )
    if max(middle) > _ANISOTROPIC * min(middle):
        yield f"the voxels are far from cubes: median spacing {shown} mm"


def _off(spacing: tuple[float, ...], middle: tuple[float, ...]) -> float:
    return max(max(s / m, m / s) for s, m in zip(spacing, middle, strict=True))


def _duplicates(fp: Fingerprint) -> Iterable[str]:
    same = defaultdict(list)
    for case in fp.cases:
        if case.content:
            same[case.content].append(case.id)
    for ids in same.values():
        if len(ids) > 1:
            yield f"{_names(ids)} hold the same image; keep them in one fold (group)"


def _files(fp: Fingerprint) -> Iterable[str]:
    noted = defaultdict(list)
    for case in fp.cases:
        for note in case.notes:
            noted[note].append(case.id)
    for note, ids in noted.items():
        yield f"{_names(ids)}: {note}"


def _absent(fp: Fingerprint) -> list[str]:
    return [
        name
        for index, name in enumerate(fp.labels["values"])
        if index and not any(c.label_voxels[index] for c in fp.cases)
    ]


def _empty(fp: Fingerprint) -> list[CaseFingerprint]:
    return [c for c in fp.cases if not any(c.label_voxels[1:])]


def _names(ids: list[str]) -> str:
    shown = ", ".join(ids[:_MOST_NAMES])
    return shown if len(ids) <= _MOST_NAMES else f"{shown} and {len(ids) - _MOST_NAMES} more"
