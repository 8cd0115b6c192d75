"""The known formats: recognise one, read it, or group loose files by its rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import Any

from medseg.data.case import Case, Dataset
from medseg.data.formats import (
    boxlist,
    brats,
    coco,
    datalist,
    decathlon,
    echonet,
    files,
    folders,
    lidc,
    luna16,
    nndetection,
    nnunet,
    series,
    voc,
)
from medseg.data.formats.layout import Layout, Recognition
from medseg.data.formats.options import FormatOptions
from medseg.data.formats.patterns import compile_pattern
from medseg.data.formats.scheme import Labels, Regions, Settled, settle
from medseg.data.formats.targets import Objects, require_objects, rule_of, settle_classes
from medseg.errors import InputError, did_you_mean
from medseg.objects import ObjectRule

FORMATS: dict[str, ModuleType] = {
    module.NAME: module
    for module in (
        decathlon,
        nnunet,
        nndetection,
        brats,
        echonet,
        voc,
        coco,
        luna16,
        lidc,
        folders,
        datalist,
        boxlist,
    )
}
_LISTED = (
    "where objects are listed beside it, it is read as it is: luna16, lidc, or boxlist, a CSV "
    "table of boxes"
)
_OF_FILES = (datalist, coco, boxlist)
_OF_OBJECTS = (nndetection, voc, coco, luna16, lidc, boxlist)

_DESCRIBE = (
    "name the right folder, or describe this one: medseg init FOLDER data.format=folders "
    "data.images_folder=. data.labels_folder=. data.image_pattern='{case}.nii.gz' "
    "data.label_pattern='{case}_seg.nii.gz'; in a recipe the same keys"
)


def recognise(root: str | Path) -> Recognition:
    """Name the format of a folder (or of a datalist file) and say what speaks for it.

    Raises:
        InputError: the folder is missing or empty, fits no format, or fits several; the message
            says what was looked for and where.
    """
    root = _resolve(root)
    if root.is_file():
        if root.suffix.lower() in (".csv", ".tsv", ".json"):
            other = Recognition(datalist.NAME, f"{root} is a file")
            return coco.recognise(root) or boxlist.recognise(root) or other
        raise InputError("is not a folder", file=root, expected="a folder, or a .csv or .json file")
    found = [r for module in FORMATS.values() if (r := module.recognise(root)) is not None]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            "fits several data formats",
            file=root,
            found="; ".join(f"{r.format}: {r.reason}" for r in found),
            remedy=f"choose one: data.format={found[0].format}",
        )
    looked = "".join(f"\n    {name}: {module.LOOKED_FOR}" for name, module in FORMATS.items())
    raise InputError(
        "fits no known data format",
        file=root,
        expected=f"one of these below it{looked}",
        found=files.first_ten(sorted(p.name for p in root.iterdir())),
        remedy=f"{files.CONVERT}; {_LISTED}" if files.holds_dicom(root) else _DESCRIBE,
    )


def lists_objects(root: str | Path, *, format: str = "auto") -> bool:
    """Tell whether a data set says where objects are, rather than which voxels are what.

    Raises:
        InputError: see `recognise`; or there is no such format.
    """
    return _module(recognise(root).format if format == "auto" else format) in _OF_OBJECTS


def read(
    root: str | Path,
    *,
    format: str = "auto",
    channels: Sequence[str] | None = None,
    labels: Labels = None,
    regions: Regions = None,
    options: Mapping[str, Any] | None = None,
    objects: Objects = None,
) -> Dataset:
    """Read a data set's folder: names of files and annotations only, no voxels.

    Args:
        root: the folder; for a datalist also the file itself.
        format: a key of `FORMATS`, or ``auto``.
        channels: names of the channels wanted, in order; ``None``: the folder's own.
        labels: name of a label preset, ``{name: value}``, or ``None``: the folder's own.
        regions: ``{name: [values]}``, ``True``: the preset's, ``False``: none, ``None``: the
            folder's own if it declares them.
        options: see `FormatOptions`.
        objects: where objects are to be found in masks, what one is: ``components``, ``instances``,
            an `ObjectRule` or some of its keys. A format that lists objects says so itself.

    Raises:
        InputError: anything that keeps the folder from being read as asked.
    """
    chosen = FormatOptions.parse(options)
    path = _resolve(root)
    module = _module(recognise(path).format if format == "auto" else format)
    if module not in _OF_FILES or path.is_dir():
        files.require_folder(path)
    layout = module.read(path, channels=channels, options=chosen)
    rule = rule_of(layout.objects, objects, source=path)
    cases = sorted(_grouped(layout.cases, chosen.group_pattern, path), key=lambda case: case.id)
    _require_sound_ids(cases, path)
    files.require_unique(cases, source=path)
    labelled = tuple(case for case in cases if _is_labelled(case))
    _require_labelled(labelled, cases, path)
    settled, labelled = _settle(
        layout, labelled, rule, labels=labels, regions=regions, options=chosen, source=path
    )
    return Dataset(
        format=module.NAME,
        root=path if path.is_dir() else path.parent,
        cases=labelled,
        channels=layout.channels,
        labels=settled.scheme,
        unlabelled=tuple(case for case in cases if not _is_labelled(case)),
        value_map=settled.value_map,
        notes=(*layout.notes, *settled.notes),
        splits=_hold_out(labelled, chosen.held_out) if chosen.held_out else layout.splits,
        preset=settled.preset,
        objects=rule,
    )


def _is_labelled(case: Case) -> bool:
    return case.label is not None or case.annotation is not None


def _require_labelled(labelled: Sequence[Case], cases: Sequence[Case], path: Path) -> None:
    if labelled:
        return
    raise InputError(
        "has no case with a label",
        file=path,
        found=f"{files.count(len(cases), 'case')} without",
        expected="masks to learn from",
        remedy="for images without masks there is medseg predict",
    )


def _settle(
    layout: Layout,
    labelled: tuple[Case, ...],
    rule: ObjectRule | None,
    *,
    labels: Labels,
    regions: Regions,
    options: FormatOptions,
    source: Path,
) -> tuple[Settled, tuple[Case, ...]]:
    """Settle what mask values mean, or of which classes the objects are that a file lists."""
    if rule is not None and rule.source != "components":
        require_objects(labelled, rule)
        return settle_classes(layout, labelled, labels=labels, regions=regions, source=source)
    settled = settle(
        layout,
        labels=labels,
        regions=regions,
        options=options,
        label_paths=[case.label for case in labelled if case.label is not None],
        source=source,
    )
    return settled, labelled


def group(
    paths: Sequence[str | Path],
    *,
    format: str,
    channels: Sequence[str],
    options: Mapping[str, Any] | None = None,
) -> tuple[Case, ...]:
    """Group files and folders into cases for prediction, by a format's rule.

    Decathlon: a file is a case. BraTS: same name before the modality's ending. nnU-Net: same name
    before ``_0000``. Folders: same ``{case}`` in the image pattern. Datalist: its rows. ``auto``
    takes BraTS's or nnU-Net's rule where all names fit it, else a file is a case. A video, also one
    that lies directly in a folder, is a case by any rule; and so is, of one channel, each DICOM
    series of a folder without other images.

    Raises:
        InputError: a path is missing, a folder has no image, a case lacks channels (which ones and
            what was found is said), or two cases share an id.
    """
    chosen = FormatOptions.parse(options)
    inputs = [Path(p).expanduser() for p in paths]
    module = None if format == "auto" else _module(format)
    absent = [str(p) for p in inputs if not p.exists()]
    if absent or not inputs:
        raise InputError(
            f"{files.count(len(absent), 'input')} cannot be found"
            if absent
            else "no input is given",
            found=files.first_ten(absent) or None,
        )
    cases, others = _videos(inputs)
    if len(channels) == 1:
        scans, others = _series(others)
        cases += scans
    module = module or _rule_for(others, tuple(channels))
    if others:
        cases += module.group(others, channels=tuple(channels), options=chosen)
    if not cases:
        by_name = any(files.list_images(p) for p in inputs)
        raise files.no_image(
            inputs[0],
            named=f"files that end in {', '.join(files.IMAGE_SUFFIXES)}"
            + (f", named as the format {module.NAME!r} has it" if by_name else ""),
            remedy="take each file for a case: --format decathlon" if by_name else None,
        )
    cases = sorted(
        _grouped(cases, chosen.group_pattern, inputs[0].parent), key=lambda case: case.id
    )
    files.require_unique(cases, source=inputs[0])
    return tuple(cases)


def _videos(inputs: Sequence[Path]) -> tuple[list[Case], list[Path]]:
    """Part inputs into videos, each a case, and what a format's rule groups."""
    cases: list[Case] = []
    others = []
    for path in inputs:
        found = files.list_videos(path) if path.is_dir() else [path] * files.is_video(path)
        cases += [Case(video.stem, (video,)) for video in found]
        if not found or files.list_images(path):
            others.append(path)
    return cases, others


def _series(inputs: Sequence[Path]) -> tuple[list[Case], list[Path]]:
    """Part inputs into DICOM series, each a case, and what a format's rule groups."""
    cases: list[Case] = []
    others = []
    for path in inputs:
        found = series.only_series(path)
        cases += map(series.case_of, found)
        if not found:
            others.append(path)
    return cases, others


def _rule_for(inputs: Sequence[Path], channels: Sequence[str]) -> ModuleType:
    """Choose a grouping rule by the names of the files."""
    names = [p for path in inputs for p in (files.list_images(path) or [path])]
    if all(nnunet.channel_number(p) in range(len(channels)) for p in names):
        return nnunet
    if len(channels) > 1 and any(brats.recognise(p) for p in inputs if p.is_dir()):
        return brats
    if len(channels) > 1 and all(brats.channel_of(p) for p in names):
        return brats
    return decathlon


def _resolve(root: str | Path) -> Path:
    path = Path(root).expanduser()
    whole = path.name in ("dataset.json", "dataset.yaml") or luna16.is_table(path)
    if whole and path.is_file():
        return path.parent
    return path if path.is_file() else files.require_folder(path)


def _module(name: str) -> ModuleType:
    if name not in FORMATS:
        raise InputError(
            f"data.format: no format {name!r}; {did_you_mean(name, FORMATS)}".rstrip("; "),
            expected=f"auto, {', '.join(FORMATS)}",
        )
    return FORMATS[name]


def _grouped(cases: Sequence[Case], pattern: str | None, source: Path) -> list[Case]:
    if pattern is None:
        return list(cases)
    regex = compile_pattern(pattern, key="group_pattern", fields=("group",), required="group")
    out, unfit = [], []
    for case in cases:
        match = regex.fullmatch(case.id)
        if match is None:
            unfit.append(case.id)
        else:
            out.append(replace(case, group=match["group"]))
    if unfit:
        raise InputError(
            "data.group_pattern does not fit every case id",
            file=source,
            expected=f"{pattern!r}, where {{group}} is the patient, in each",
            found=("none fits: " if not out else "") + files.first_ten(unfit),
            remedy="say where the patient stands in the whole id, such as data.group_pattern="
            "'{group}_*'; * is any text, ? one character",
        )
    return out


def _hold_out(cases: Sequence[Case], patterns: Sequence[str]) -> tuple[dict[str, list[str]], ...]:
    """Make the one fold that validates on the cases of these names."""
    fits = {p: [c.id for c in cases if fnmatchcase(c.id, p.replace("[", "[[]"))] for p in patterns}
    idle = [pattern for pattern, ids in fits.items() if not ids]
    val = sorted({case_id for ids in fits.values() for case_id in ids})
    if idle or len(val) == len(cases):
        raise InputError(
            f"data.held_out: no case is called {idle[0]!r}" if idle else "data.held_out: all cases",
            expected="ids of some of the labelled cases; * is any text, ? any one character",
            found=f"cases {files.first_ten([case.id for case in cases])}",
        )
    train = sorted({case.id for case in cases} - set(val))
    return ({"train": train, "val": val},)


def _require_sound_ids(cases: Sequence[Case], source: Path) -> None:
    """Ids become file names, so they must not lead anywhere, and are written down as UTF-8."""
    for case in cases:
        if not case.id.strip() or case.id in (".", "..") or any(c in case.id for c in "/\\\0\n\r"):
            raise InputError(
                "has a case id that cannot name a file",
                file=source,
                expected="text without slashes",
                found=repr(case.id),
            )
        for path in (*case.images, case.label):
            if path is not None and not _is_text(path):
                raise InputError(
                    "has a file whose name is not text",
                    file=source,
                    expected="names in UTF-8",
                    found=repr(str(path)),
                    remedy="rename it, for instance with convmv",
                )


def _is_text(path: Path) -> bool:
    """Tell whether a path can be written down; the system gives other bytes as surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in str(path))
