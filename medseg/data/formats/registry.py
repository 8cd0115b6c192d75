"""The known formats: recognise one, and read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    voc,
)
from medseg.data.formats.case_ids import hold_out, require_sound_ids, with_groups
from medseg.data.formats.layout import Layout, Recognition
from medseg.data.formats.options import FormatOptions
from medseg.data.formats.scheme import Labels, Regions, Settled, settle
from medseg.data.formats.targets import (
    Objects,
    require_no_map,
    require_objects,
    rule_of,
    settle_classes,
)
from medseg.data.formats.unfit import unfit_files
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
        found="; ".join(
            [files.first_ten(sorted(p.name for p in root.iterdir())), *unfit_files(root)]
        ),
        remedy=f"{files.CONVERT}; {_LISTED}" if files.holds_dicom(root) else _DESCRIBE,
    )


def lists_objects(root: str | Path, *, format: str = "auto") -> bool:
    """Tell whether a data set says where objects are, rather than which voxels are what.

    Raises:
        InputError: see `recognise`; or there is no such format.
    """
    return module_of(recognise(root).format if format == "auto" else format) in _OF_OBJECTS


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
    module = module_of(recognise(path).format if format == "auto" else format)
    if module not in _OF_FILES or path.is_dir():
        files.require_folder(path)
    layout = module.read(path, channels=channels, options=chosen)
    rule = rule_of(layout.objects, objects, source=path)
    cases = sorted(with_groups(layout.cases, chosen.group_pattern, path), key=lambda case: case.id)
    require_sound_ids(cases, path)
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
        splits=hold_out(labelled, chosen.held_out) if chosen.held_out else layout.splits,
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
        require_no_map(options, rule, source)
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


def _resolve(root: str | Path) -> Path:
    path = files.from_home(str(root))
    whole = path.name in ("dataset.json", "dataset.yaml") or luna16.is_table(path)
    if whole and path.is_file():
        return path.parent
    return path if path.is_file() else files.require_folder(path)


def module_of(name: str) -> ModuleType:
    """Return the module of a format.

    Raises:
        InputError: there is no such format.
    """
    if name not in FORMATS:
        raise InputError(
            f"data.format: no format {name!r}; {did_you_mean(name, FORMATS)}".rstrip("; "),
            expected=f"auto, {', '.join(FORMATS)}",
        )
    return FORMATS[name]
