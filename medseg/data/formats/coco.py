"""COCO: pictures, and a JSON file of boxes.

::

    cells/
      annotations/instances_train.json    images, annotations, categories
      annotations/instances_val.json      optional: validates
      images/0001.png                     or train/0001.png, or beside the JSON file

The file may also be called ``annotations.json`` or otherwise, and lie in the root or beside the
pictures of each part; ``data.datalist`` names it, and leaves out all others. Where names contain
``train`` and ``val`` (or ``valid``), the one part trains and the other validates; ``test`` is kept
out of the training. A box is ``[x, y, width, height]`` in pixel edges, x along the columns. A
picture that no annotation names has no object; crowds (``iscrowd``) count in no score. Outlines
(``segmentation``) are not read.

Source: Lin et al., arXiv 1405.0312; cocodataset.org/#format-data.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medseg.data.case import Case
from medseg.data.formats import datalist, files
from medseg.data.formats.channels import rename
from medseg.data.formats.drawn import Drawn, gather, require_sound
from medseg.data.formats.layout import Layout, Recognition
from medseg.data.formats.options import FormatOptions
from medseg.data.formats.peek import picture_channels
from medseg.errors import InputError
from medseg.geometry.boxes import from_coco
from medseg.objects import ObjectRule

NAME = "coco"
LOOKED_FOR = "a .json with 'images', 'annotations' and 'categories'"
_KEYS = ("images", "annotations", "categories")
_FOLDERS = ("annotations", "train", "val", "valid", "test")
_PARTS = (("test", re.compile("test")), ("val", re.compile("val")), ("train", re.compile("train")))


def recognise(root: Path) -> Recognition | None:
    """Say why ``root`` is, or holds, a COCO file, or return ``None``."""
    found = [root] * looks_like_coco(root) if root.is_file() else _candidates(root)
    return Recognition(NAME, f"{found[0]} has {', '.join(_KEYS)}") if found else None


def looks_like_coco(path: Path) -> bool:
    """Tell whether a file has the lists of COCO."""
    if path.suffix.lower() != ".json" or path.name.startswith("."):
        return False
    try:
        state = files.read_json(path)
    except InputError:
        return False
    return isinstance(state, dict) and all(isinstance(state.get(key), list) for key in _KEYS)


def read(root: Path, *, channels: Sequence[str] | None, options: FormatOptions) -> Layout:
    """Read a COCO data set.

    Raises:
        InputError: no file is COCO's; an entry lacks a key; an annotation names a picture or a
            category that is not listed, or is no box; a picture is not there; or files disagree
            about the categories.
    """
    sources = _sources(root, options)
    base = root if root.is_dir() else root.parent
    if root.is_file() and base.name == "annotations":
        base = base.parent
    tables = {path: _table(path) for path in sources}
    names, numbers = _categories(tables)
    order = {name: index for index, name in enumerate(names)}
    parts = {path: _part(path, base) for path in sources}
    listed = {path: _images(table, path, base) for path, table in tables.items()}
    often = files.repeated(
        files.stem_of(path) for path in {p for one in listed.values() for p in one.values()}
    )
    cases: list[Case] = []
    members: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    crowds = 0
    for source, table in tables.items():
        images = listed[source]
        drawn = _drawn(table, source, images, numbers)
        part = parts[source] if len(sources) > 1 else "train"
        for number, path in images.items():
            found = drawn.get(number, [])
            crowds += sum(one.ignored for one in found)
            known = None if part == "test" else gather(found, "voxels", order, file=source)
            name = files.stem_of(path)
            name = files.path_id(path, base) if name in often else name
            cases.append(Case(name, (path,), annotation=known))
            members[part].append(cases[-1].id)
    files.require_unique(cases, source=base)
    bare = [c.id for c in cases if c.annotation and not c.annotation.objects]
    notes = [f"{files.count(len(bare), 'picture')} without any object: {files.first_ten(bare)}"]
    notes = notes if bare else []
    if crowds:
        notes.append(f"{files.count(crowds, 'crowd')}, which count in no score")
    split = {"train": sorted(members["train"]), "val": sorted(members["val"])}
    return Layout(
        cases=tuple(cases),
        channels=rename(picture_channels(cases[0].images[0]), channels, source=base),
        values={name: value for value, name in enumerate(names, start=1)},
        notes=tuple(notes),
        splits=(split,) if all(split.values()) else (),
        objects=ObjectRule("boxes"),
    )


def group(
    paths: Sequence[Path], *, channels: Sequence[str], options: FormatOptions
) -> tuple[Case, ...]:
    """Take each picture as a case of its own."""
    return datalist.group(paths, channels=channels, options=options)


def _documents(root: Path) -> list[Path]:
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    likely = [p for p in folders if p.name.lower() in _FOLDERS]
    found = [p for folder in (root, *likely) for p in sorted(folder.glob("*.json"))]
    return [p for p in found if p.name != "dataset.json" and not p.name.startswith(".")]


def _candidates(root: Path) -> list[Path]:
    """Return the files of COCO in a folder and in those below it, instances before key points."""
    found = list(filter(looks_like_coco, _documents(root)))
    return [p for p in found if "instances" in p.name] or found


def _require_whole(root: Path) -> None:
    """Refuse to go on without a file that is damaged: it may be what validates."""
    for path in _documents(root):
        if not looks_like_coco(path):
            files.read_json(path)


def _sources(root: Path, options: FormatOptions) -> list[Path]:
    if root.is_file():
        return [root]
    if not options.datalist:
        _require_whole(root)
    found = [root / options.datalist] if options.datalist else _candidates(root)
    parts = [_part(path, root) for path in found]
    if not found or len(set(parts)) < len(parts):
        raise InputError(
            "holds several files of annotations" if found else "holds no file of annotations",
            file=root,
            expected=LOOKED_FOR + "; several are told apart by train, val and test in their names",
            found=files.first_ten([str(p.relative_to(root)) for p in found]) or None,
            remedy="name the file with data.datalist",
        )
    return found


def _part(path: Path, root: Path) -> str:
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    return next((part for part, says in _PARTS if says.search(name.lower())), "train")


def _table(path: Path) -> dict[str, Any]:
    state = files.read_json_object(path)
    for key in _KEYS:
        if not isinstance(state.get(key), list):
            raise InputError(f"has no list {key!r}", file=path, expected=LOOKED_FOR)
    if not state["images"]:
        raise InputError("lists no picture", file=path, expected="entries under 'images'")
    return state


def _entries(table: Mapping[str, Any], key: str, source: Path, *wanted: str) -> Iterator[tuple]:
    """Yield the place of each entry, and the values that it must have."""
    for index, entry in enumerate(table[key]):
        where = f"{key}[{index}]"
        lacking = [name for name in wanted if not isinstance(entry, dict) or name not in entry]
        if lacking:
            raise InputError(
                f"{where} lacks {', '.join(lacking)}",
                file=source,
                expected=", ".join(wanted),
                found=repr(entry)[:80],
            )
        yield where, *(entry[name] for name in wanted), entry


def _categories(tables: Mapping[Path, dict[str, Any]]) -> tuple[list[str], dict[int, str]]:
    known: dict[int, str] = {}
    for source, table in tables.items():
        for where, number, name, _ in _entries(table, "categories", source, "id", "name"):
            number = files.as_int(number, what=f"{where}: id", source=source)
            name = _name(name, where, source)
            if known.setdefault(number, name) != name:
                raise InputError(
                    f"{where}: category {number} has two names",
                    file=source,
                    expected=known[number],
                    found=name,
                )
    names = [known[number] for number in sorted(known)]
    if not names or len(set(names)) < len(names):
        raise InputError(
            "must have categories, each of its own name",
            file=next(iter(tables)),
            found=files.first_ten(names) or "none",
        )
    return names, known


def _name(name: Any, where: str, source: Path) -> str:
    if not isinstance(name, str) or not name.strip():
        raise InputError(
            f"{where} has no name",
            file=source,
            expected='text, such as "name": "cell"',
            found=repr(name)[:80],
            remedy="name it, or remove the category and its annotations",
        )
    return name.strip()


def _images(table: Mapping[str, Any], source: Path, root: Path) -> dict[int, Path]:
    found: dict[int, Path] = {}
    bases = _bases(source, root)
    absent = []
    for where, number, name, _ in _entries(table, "images", source, "id", "file_name"):
        number = files.as_int(number, what=f"{where}: id", source=source)
        if number in found:
            raise InputError(f"{where}: a second picture with the id {number}", file=source)
        places = [files.inside(base, name, source=source) for base in bases]
        found[number] = next(filter(files.is_there, places), places[0])
        if not files.is_there(found[number]):
            absent.append(str(name))
    if absent:
        raise InputError(
            f"lists {files.count(len(absent), 'picture')} that cannot be found",
            file=source,
            expected=f"below {', '.join(str(base) for base in bases)}",
            found=f"missing: {files.first_ten(absent)}",
            remedy="complete the download",
        )
    return found


def _bases(source: Path, root: Path) -> list[Path]:
    """Say where the pictures of a file may lie, the likeliest first."""
    part = source.stem.rsplit("_", 1)[-1]
    near = [source.parent, root / part, root / "images" / part, root / "images", root]
    return [base for base in dict.fromkeys(near) if base.is_dir()]


def _drawn(
    table: Mapping[str, Any], source: Path, images: Mapping[int, Path], names: Mapping[int, str]
) -> dict[int, list[Drawn]]:
    found: dict[int, list[Drawn]] = {}
    wanted = ("image_id", "category_id", "bbox")
    for where, image, category, box, entry in _entries(table, "annotations", source, *wanted):
        image = files.as_int(image, what=f"{where}: image_id", source=source)
        category = files.as_int(category, what=f"{where}: category_id", source=source)
        if image not in images:
            raise InputError(
                f"{where} is of a picture that is not listed",
                file=source,
                expected="image_id as the id of an entry under 'images'",
                found=str(image),
            )
        if category not in names:
            raise InputError(
                f"{where} is of an unknown class",
                file=source,
                expected=", ".join(f"{n} ({name})" for n, name in sorted(names.items())),
                found=f"category_id {category}",
                remedy="add it to 'categories', or correct the annotation",
            )
        crowd = _is_crowd(entry.get("iscrowd"), where, source)
        one = Drawn(where, names[category], _corners(box, where, source), crowd)
        found.setdefault(image, []).append(one)
    for listed in found.values():
        require_sound(listed, "voxels", file=source)
    return found


def _corners(box: Any, where: str, source: Path) -> tuple[float, ...]:
    numbers = box if isinstance(box, list) else []
    if len(numbers) != 4 or not all(type(number) in (int, float) for number in numbers):
        raise InputError(
            f"{where}: bbox is no box",
            file=source,
            expected="[x, y, width, height]",
            found=repr(box)[:80],
        )
    with np.errstate(over="ignore", invalid="ignore"):  # what has no end is refused by its place
        return tuple(from_coco([list(map(_float, numbers))])[0].tolist())


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # whole numbers of JSON may be larger than any float
        return math.inf


def _is_crowd(said: Any, where: str, source: Path) -> bool:
    if said is None or isinstance(said, bool):
        return bool(said)
    number = files.as_int(said, what=f"{where}: iscrowd", source=source)
    return number != 0
