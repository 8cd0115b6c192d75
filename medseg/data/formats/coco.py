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

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medseg.data.case import Case
from medseg.data.formats import datalist, files, naming
from medseg.data.formats.channels import rename
from medseg.data.formats.coco_entries import categories, drawn, pictures
from medseg.data.formats.drawn import gather
from medseg.data.formats.layout import Layout, Recognition
from medseg.data.formats.options import FormatOptions
from medseg.data.formats.peek import picture_channels
from medseg.errors import InputError
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
    names, numbers = categories(tables)
    order = {name: index for index, name in enumerate(names)}
    parts = {path: _part(path, base) for path in sources}
    listed = {path: pictures(table, path, _bases(path, base)) for path, table in tables.items()}
    often = naming.repeated(
        files.stem_of(path) for path in {p.path for one in listed.values() for p in one.values()}
    )
    cases: list[Case] = []
    members: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    crowds = 0
    for source, table in tables.items():
        images = listed[source]
        found = drawn(table, source, images, numbers)
        part = parts[source] if len(sources) > 1 else "train"
        for number, (path, shape) in images.items():
            objects = found.get(number, [])
            crowds += sum(one.ignored for one in objects)
            known = None
            if part != "test":
                known = gather(objects, "voxels", order, file=source, shape=shape)
            name = files.stem_of(path)
            name = naming.path_id(path, base) if name in often else name
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


def _bases(source: Path, root: Path) -> list[Path]:
    """Say where the pictures of a file may lie, the likeliest first."""
    part = source.stem.rsplit("_", 1)[-1]
    near = [source.parent, root / part, root / "images" / part, root / "images", root]
    return [base for base in dict.fromkeys(near) if base.is_dir()]
