"""Medical Segmentation Decathlon: one folder per task, described by its ``dataset.json``.

::

    Task04_Hippocampus/
      dataset.json
      imagesTr/hippocampus_001.nii.gz     3D, or 4D with the modalities along the last axis
      labelsTr/hippocampus_001.nii.gz
      imagesTs/hippocampus_002.nii.gz     optional, without labels

``dataset.json`` gives ``modality`` (``{"0": "MRI"}``: the channels in order), ``labels``
(``{"0": "background", "1": "Anterior"}``) and ``training``, a list of
``{"image": "./imagesTr/x.nii.gz", "label": "./labelsTr/x.nii.gz"}`` or of image paths alone, whose
label then has the same name in ``labelsTr``. AMOS's ``validation``, a list of the same form,
validates what is trained on ``training``. Paths must stay in the folder. Entries and files that
begin with ``._`` (macOS) are ignored. A case's id is its file name without suffix.

Source: Simpson et al., arXiv 1902.09063.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medseg.data.case import Case
from medseg.data.formats import files
from medseg.data.formats.channels import rename
from medseg.data.formats.layout import Layout, Recognition
from medseg.data.formats.options import FormatOptions
from medseg.data.formats.order import require_one_order
from medseg.data.formats.presets import PRESETS
from medseg.errors import InputError

NAME = "decathlon"
LOOKED_FOR = "dataset.json with a 'training' list"


def recognise(root: Path) -> Recognition | None:
    """Say why ``root`` is a Decathlon folder, or return ``None``."""
    path = root / "dataset.json"
    if not path.is_file():
        return None
    state = files.read_json_object(path)
    if not isinstance(state.get("training"), list) or "channel_names" in state:
        return None
    if is_numbered(root, state):
        return None
    return Recognition(NAME, f"{path} has a 'training' list")


def is_numbered(root: Path, state: dict[str, Any]) -> bool:
    """Tell nnU-Net's first version from the Decathlon: it lists ``x.nii.gz``, stores ``x_0000``."""
    names = set(files.image_names(root / "imagesTr"))
    listed = {_name(image) for image in map(_image_of, state["training"])}
    return not listed & names and any(
        re.sub(r"_\d{4}(?=\.)", "", name, count=1) in listed for name in names
    )


def read(root: Path, *, channels: Sequence[str] | None, options: FormatOptions) -> Layout:
    """Read a Decathlon folder.

    Raises:
        InputError: ``dataset.json`` is missing, is not JSON, lists files that are not there or
            that lie outside the folder, names a case twice, or lists the images of a case in
            another order than those of the others.
    """
    source = root / "dataset.json"
    if not source.is_file():
        raise InputError("has no dataset.json", file=root, expected=LOOKED_FOR)
    state = files.read_json_object(source)
    if not isinstance(state.get("training"), list):
        raise InputError(
            "has no 'training' list", file=source, found=f"keys {files.first_ten(list(state))}"
        )
    cases = [_entry(root, item, source) for item in state["training"] if not _is_macos(item)]
    held_out = _validation(root, state, source)
    splits = _split(cases, held_out)
    cases += held_out
    files.require_files(
        [p for c in cases for p in (*c.images, *([c.label] if c.label else []))],
        source=source,
        root=root,
    )
    notes = _notes(root, state, cases)
    tests, absent = _tests(root, state, source)
    if absent:
        notes.append(f"{files.count(absent, 'test image')} listed in dataset.json are not there")
    files.require_unique([*cases, *tests], source=source)
    declared = _modality(state, source)
    if declared and len(declared) > 1:
        apart = {c.id: c.images for c in cases if len(c.images) == len(declared)}
        require_one_order(apart, declared, source=source)
    values = parse_labels(state.get("labels"), source)
    return Layout(
        cases=(*cases, *tests),
        channels=rename(declared, channels, source=source),
        values=values,
        preset=_implied_preset(values, declared),
        binding=values is not None,
        notes=tuple(notes),
        splits=splits,
    )


def group(
    paths: Sequence[Path], *, channels: Sequence[str], options: FormatOptions
) -> tuple[Case, ...]:
    """Make one case of each file: a file holds all modalities. Folders give their images."""
    return tuple(
        Case(files.stem_of(image), (image,))
        for path in paths
        for image in (files.list_images(path) if path.is_dir() else [path])
    )


def parse_labels(labels: Any, source: Path) -> dict[str, int] | None:
    """Read ``{"1": "Anterior"}`` (or ``{"Anterior": 1}``) as name -> value, without background.

    Raises:
        InputError: it is not a mapping between names and whole numbers.
    """
    if labels is None:
        return None
    mapping = files.as_mapping(labels, key="labels", source=source)
    if mapping and all(isinstance(v, int) for v in mapping.values()):
        pairs = [(name, value) for name, value in mapping.items()]
    else:
        pairs = [
            (str(n), files.as_int(v, what="a label", source=source)) for v, n in mapping.items()
        ]
    values: dict[str, int] = {}
    for name, value in pairs:
        if value != 0:
            values[f"{name} ({value})" if name in values else name] = value
    return values or None


def _image_of(item: Any) -> Any:
    image = item.get("image") if isinstance(item, dict) else item
    return image[0] if isinstance(image, list) and image else image


def _is_macos(item: Any) -> bool:
    return _name(_image_of(item)).startswith("._")


def _name(path: Any) -> str:
    return str(path).replace("\\", "/").rpartition("/")[2]


def _entry(root: Path, item: Any, source: Path) -> Case:
    image = item.get("image") if isinstance(item, dict) else item
    listed = image if isinstance(image, list) and image else [image]
    images = tuple(files.inside(root, text, source=source) for text in listed)
    label = None
    if isinstance(item, str):
        label = root / "labelsTr" / images[0].name
    elif item.get("label") is not None:
        label = files.inside(root, item["label"], source=source)
    return Case(files.stem_of(images[0]), images, label)


def _validation(root: Path, state: dict[str, Any], source: Path) -> list[Case]:
    """Return the labelled cases of a list ``validation``."""
    listed = state.get("validation")
    items = [v for v in listed if isinstance(v, dict)] if isinstance(listed, list) else []
    cases = [_entry(root, item, source) for item in items if not _is_macos(item)]
    # Until a challenge has ended, such labels are listed and not given.
    return [case for case in cases if case.label is not None and case.label.is_file()]


def _split(train: Sequence[Case], val: Sequence[Case]) -> tuple[dict[str, list[str]], ...]:
    labelled = sorted(case.id for case in train if case.label is not None)
    if not labelled or not val:
        return ()
    return ({"train": labelled, "val": sorted(case.id for case in val)},)


def _tests(root: Path, state: dict[str, Any], source: Path) -> tuple[list[Case], int]:
    listed = state.get("test")
    items = [t for t in (listed if isinstance(listed, list) else []) if not _is_macos(t)]
    images = [files.inside(root, _image_of(item), source=source) for item in items]
    there = [image for image in images if image.is_file()]
    return [Case(files.stem_of(p), (p,)) for p in there], len(images) - len(there)


def _modality(state: dict[str, Any], source: Path) -> tuple[str, ...] | None:
    modality = state.get("modality")
    if not modality:
        return None
    if isinstance(modality, str):
        return (modality,)
    if isinstance(modality, list):
        return tuple(str(name) for name in modality)
    mapping = files.as_mapping(modality, key="modality", source=source)
    order = sorted(mapping, key=lambda k: files.as_int(k, what="a modality's key", source=source))
    return tuple(str(mapping[key]) for key in order)


def _implied_preset(values: dict[str, int] | None, declared: tuple[str, ...] | None) -> str | None:
    found = {(name.lower(), value) for name, value in (values or {}).items()}
    for preset in PRESETS.values():
        known = {(name.lower(), value) for name, value in preset.values.items()}
        if (
            preset.name.startswith("msd_")
            and known == found
            and len(declared or ()) == len(preset.channels)
        ):
            return preset.name
    return None


def _notes(root: Path, state: dict[str, Any], cases: Sequence[Case]) -> list[str]:
    notes = []
    stated = state.get("numTraining")
    number = sum(not _is_macos(item) for item in state["training"])
    if stated is not None and stated != number:
        notes.append(f"dataset.json states numTraining {stated}, but lists {number} cases")
    listed = {str(image) for case in cases for image in case.images}
    folder = f"{root / 'imagesTr'}{os.sep}"
    extra = [n for n in files.image_names(root / "imagesTr") if folder + n not in listed]
    if extra:
        notes.append(
            f"{files.count(len(extra), 'image')} in imagesTr are not listed in dataset.json and "
            f"are left out: {files.first_ten(extra)}"
        )
    return notes
