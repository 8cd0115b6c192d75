"""nnDetection: instance maps, and beside each a JSON file that gives its instances' classes.

::

    Task016_Luna/
      dataset.json                               or dataset.yaml
      raw_splitted/imagesTr/case0_0000.nii.gz    or imagesTr/ in the root; channel 0 of case0
      raw_splitted/labelsTr/case0.nii.gz         0: background, each other value one object
      raw_splitted/labelsTr/case0.json           {"instances": {"1": 0, "2": 1}}: value -> class
      raw_splitted/imagesTs/…                    optional: kept out of the training

``dataset.json`` gives ``labels`` (``{"0": "nodule"}``, counted from 0: there is no background) and
``modalities`` (``{"0": "CT"}``: the channels in order).

Source: Baumgartner et al., arXiv 2106.00817; github.com/MIC-DKFZ/nnDetection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg.data.case import Case
from medseg.data.formats import files, naming, nnunet
from medseg.data.formats.channels import select
from medseg.data.formats.layout import Layout, Recognition
from medseg.data.formats.options import FormatOptions
from medseg.errors import InputError
from medseg.objects import ObjectRule

NAME = "nndetection"
LOOKED_FOR = "dataset.json or .yaml with 'modalities', and a .json for each map in labelsTr/"
_DESCRIPTIONS = ("dataset.json", "dataset.yaml", "dataset.yml")
_INNER = (".", "raw_splitted", "raw_splitted_data")

group = nnunet.group


def recognise(root: Path) -> Recognition | None:
    """Say why ``root`` is nnDetection's, or return ``None``."""
    source, inner = _source(root), _inner(root)
    if source is None or inner is None or not any((inner / "labelsTr").glob("*.json")):
        return None
    if "modalities" not in _description(source):
        return None
    return Recognition(NAME, f"{source} has 'modalities', and labelsTr/ has .json files")


def read(root: Path, *, channels: Sequence[str] | None, options: FormatOptions) -> Layout:
    """Read a task of nnDetection.

    Raises:
        InputError: the description or a JSON file is missing or damaged, a case lacks channels, a
            map has no image or no JSON file, a JSON file no map, or an instance is of an unknown
            class.
    """
    source, inner = _source(root), _inner(root)
    if source is None or inner is None:
        raise InputError("is not a task of nnDetection", file=root, expected=LOOKED_FOR)
    state = _description(source)
    classes = _numbered(state, "labels", source)
    positions, names = select(_numbered(state, "modalities", source), channels, source=source)
    images = nnunet.collect(files.list_images(inner / "imagesTr"))
    tests = nnunet.collect(files.list_images(inner / "imagesTs"))
    maps = naming.by_stem(files.list_images(inner / "labelsTr"), source=inner / "labelsTr")
    if not images:
        raise InputError(
            "holds no image", file=inner / "imagesTr", expected="files named <case>_0000.nii.gz"
        )
    nnunet.require_complete(images, positions, inner / "imagesTr", names)
    nnunet.require_images(maps, images, inner)
    _require_maps(maps, inner / "labelsTr")
    cases = [
        Case(
            name,
            tuple(parts[i] for i in positions),
            maps.get(name),
            instances=_instances(maps[name], name, classes) if name in maps else (),
        )
        for name, parts in images.items()
    ]
    bare = [case.id for case in cases if case.label is None]
    notes = (f"{files.count(len(bare), 'case')} without a map: {files.first_ten(bare)}",)
    cases += [
        Case(name, tuple(parts[i] for i in positions))
        for name, parts in tests.items()
        if all(i in parts for i in positions)
    ]
    return Layout(
        cases=tuple(cases),
        channels=names,
        values={name: value for value, name in enumerate(classes, start=1)},
        binding=True,
        notes=notes if bare else (),
        objects=ObjectRule("instances"),
    )


def _source(root: Path) -> Path | None:
    return next((root / name for name in _DESCRIPTIONS if (root / name).is_file()), None)


def _inner(root: Path) -> Path | None:
    return next((root / name for name in _INNER if (root / name / "labelsTr").is_dir()), None)


def _description(source: Path) -> dict[str, Any]:
    if source.suffix == ".json":
        return files.read_json_object(source)
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        state = YAML(typ="safe", pure=True).load(source.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError("cannot be opened", file=source, found=str(error.strerror)) from error
    except (YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        text = " ".join(str(error).split())[:200]
        raise InputError("is not YAML", file=source, found=text) from error
    if not isinstance(state, dict):
        raise InputError("is not a data set description", file=source, expected="keys and values")
    return state


def _numbered(state: Mapping[str, Any], key: str, source: Path) -> tuple[str, ...]:
    listed = files.as_mapping(state.get(key), key=key, source=source)
    what = f"a number under {key!r}"
    names = {}
    for number, name in listed.items():
        if not isinstance(name, str) or not name.strip():
            raise InputError(
                f"{key!r} must name what has number {number}",
                file=source,
                expected='{"0": "…", "1": "…"}',
                found=type(name).__name__,
            )
        names[files.as_int(number, what=what, source=source)] = name.strip()
    if not names or sorted(names) != list(range(len(names))):
        raise InputError(
            f"must number its {key} 0, 1, …",
            file=source,
            expected='{"0": "…", "1": "…"}',
            found=str(list(listed)) if listed else f"no {key!r}",
        )
    found = tuple(names[number] for number in range(len(names)))
    if len(set(found)) < len(found):
        raise InputError(f"{key!r} names one thing twice", file=source, found=", ".join(found))
    return found


def _require_maps(maps: Mapping[str, Path], folder: Path) -> None:
    alone = [p.name for p in sorted(folder.glob("*.json")) if p.stem not in maps]
    alone = [name for name in alone if not name.startswith(".")]
    if alone:
        raise InputError(
            f"{files.count(len(alone), 'table')} of instances without a map",
            file=folder,
            expected="a map of the same name for each",
            found=files.first_ten(alone),
            remedy="complete the download, or remove them",
        )


def _instances(label: Path, name: str, classes: Sequence[str]) -> tuple[tuple[int, int], ...]:
    path = label.with_name(f"{name}.json")
    if not path.is_file():
        raise InputError(
            "the map has no file that gives its instances' classes",
            file=label,
            expected=f"{path.name} beside it",
            found="nothing",
            remedy='write {"instances": {"1": 0}}, or {"instances": {}} where the map is empty',
        )
    state = files.read_json_object(path)
    if "instances" not in state:
        raise InputError("has no 'instances'", file=path, expected='{"instances": {"1": 0}}')
    found = {}
    for key, number in files.as_mapping(state["instances"], key="instances", source=path).items():
        value = files.as_int(key, what="an instance's value", source=path)
        index = files.as_int(number, what=f"instance {key}", source=path)
        if value < 1 or value in found:
            raise InputError(
                "instances count from 1" if value < 1 else f"instance {value} is listed twice",
                file=path,
                expected="each value of the map once; 0 is background",
                found=f"{key}: {number}",
                remedy="correct the value, or remove the entry",
            )
        if not 0 <= index < len(classes):
            raise InputError(
                f"instance {key} is of an unknown class",
                file=path,
                expected=", ".join(f"{i} ({name})" for i, name in enumerate(classes)),
                found=f"{key}: {number}",
                remedy="correct the number; classes count from 0",
            )
        found[value] = index
    return tuple(sorted(found.items()))
