"""Plain folders: images in one, labels in the other, paired by name.

::

    root/
      images/case_01.png        or .nii.gz, .nrrd, .mha, .jpg, .tif …
      labels/case_01.png

Recipe keys (under ``data``):

- ``images_folder`` and ``labels_folder``: found by themselves when they are called ``images``,
  ``image`` or ``imgs`` and ``labels``, ``label``, ``masks`` or ``mask``; ``.`` is the root.
- ``image_pattern`` and ``label_pattern`` (default ``{case}``): the file name, with or without its
  suffix. ``*`` stands for any text, ``?`` for one character; a ``/`` looks into subfolders, ``**/``
  at the beginning into all of them. ``{folder}`` is a folder's name that is part of the case's:
  ``{folder}/{case}/t1`` makes ``site1_p3`` of ``site1/p3/t1.nii.gz``.
  ``{channel}`` takes the channels from files of their own: ``{case}_{channel}`` splits at the last
  underscore, or at the names in ``data.channels`` where they are given, which also fix the
  order.
- ``value_map``: value in the file -> label value, ``{255: 1}``.
- ``group_pattern``: where the patient stands in the case's name, ``{group}_*``.

Images and labels side by side, two eyes of each patient:

.. code-block:: yaml

    images_folder: .
    labels_folder: .
    image_pattern: Image_{case}.jpg
    label_pattern: Image_{case}_1stHO.png
    group_pattern: "{group}?"
    value_map: {255: 1}

One folder per case: ``image_pattern: "{case}/{channel}.nii.gz"``, ``label_pattern:
"{case}/seg.nii.gz"`` with both folders ``.``. Where no labels are declared they are taken from the
values in the first masks, and a mask of 0 and 255 needs no value map.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from medseg.data.case import Case
from medseg.data.formats import files
from medseg.data.formats.channels import rename
from medseg.data.formats.layout import Layout, Recognition
from medseg.data.formats.options import FormatOptions
from medseg.data.formats.patterns import (
    ANYWHERE,
    case_of,
    compile_pattern,
    depth_of,
    match_name,
)
from medseg.data.formats.peek import picture_channels
from medseg.errors import InputError

NAME = "folders"
LOOKED_FOR = "the folders images/ and labels/ (or image/, imgs/ and label/, masks/, mask/)"
IMAGE_FOLDERS = ("images", "image", "imgs")
LABEL_FOLDERS = ("labels", "label", "masks", "mask")
_DEEPEST = 4

# case id -> channel name (empty: the file holds all) -> file
_Found = dict[str, dict[str, Path]]


def recognise(root: Path) -> Recognition | None:
    """Say why ``root`` is a pair of plain folders, or return ``None``."""
    images = _first_folder(root, IMAGE_FOLDERS)
    labels = _first_folder(root, LABEL_FOLDERS)
    if images is None or labels is None:
        return None
    if not files.list_images(images) or not files.list_images(labels):
        return None
    return Recognition(NAME, f"{root} has the folders {images.name}/ and {labels.name}/")


def read(root: Path, *, channels: Sequence[str] | None, options: FormatOptions) -> Layout:
    """Read plain folders.

    Raises:
        InputError: a folder is missing or empty, no name fits its pattern, labels have no image,
            cases lack channels, or two files claim one case.
    """
    images_folder = _folder(root, options.images_folder, IMAGE_FOLDERS, "images_folder")
    labels_folder = _folder(root, options.labels_folder, LABEL_FOLDERS, "labels_folder")
    found, order = _match_images(
        _candidates(images_folder, options.image_pattern), options, channels, images_folder
    )
    labels = _match_labels(labels_folder, options)
    if images_folder == labels_folder:
        # A loose image pattern also matches the masks that lie beside the images.
        masks = set(labels.values())
        found = {c: p for c, p in found.items() if not masks & set(p.values())}
    cases = [
        Case(name, tuple(parts[ch] for ch in order), labels.get(name))
        for name, parts in found.items()
    ]
    _require_images(labels, found, labels_folder, options)
    bare = [c.id for c in cases if c.label is None]
    notes = []
    if bare and len(bare) < len(cases):
        notes.append(f"{files.count(len(bare), 'image')} without a label: {files.first_ten(bare)}")
    if order == ("",):
        names = rename(picture_channels(cases[0].images[0]), channels, source=images_folder)
    else:
        names = order
    return Layout(cases=tuple(cases), channels=names, notes=tuple(notes))


def group(
    paths: Sequence[Path], *, channels: Sequence[str], options: FormatOptions
) -> tuple[Case, ...]:
    """Group files by ``{case}`` of the image pattern; folders are searched by it.

    Where a case is one file, a file of another name is a case of its own.

    Raises:
        InputError: a file does not fit the pattern, or a case lacks channels.
    """
    regex = _image_regex(options, channels)
    one_file = "{channel}" not in options.image_pattern
    images: list[Path] = []
    others: list[Case] = []
    for path in paths:
        if path.is_dir():
            images += _in_folder(path, options)
        elif match_name(regex, options.image_pattern, path.absolute()) is not None:
            images.append(path)
        elif one_file:  # new files may be named as they like: each is a case
            others.append(Case(files.stem_of(path), (path,)))
        else:
            raise InputError(
                "does not fit the image pattern",
                file=path,
                expected=f"data.image_pattern: {options.image_pattern}",
                remedy="rename it; or, if each file holds all channels, add --format decathlon",
            )
    if not images:
        return tuple(others)
    found, order = _match_images(images, options, channels, paths[0])
    cases = [Case(name, tuple(parts[ch] for ch in order)) for name, parts in found.items()]
    return (*cases, *others)


def _in_folder(path: Path, options: FormatOptions) -> list[Path]:
    """Return a folder's images, or those of the images folder in a data set's root."""
    images = _candidates(path, options.image_pattern)
    if images:
        return images
    names = (options.images_folder,) if options.images_folder else IMAGE_FOLDERS
    inner = _first_folder(path, names)
    return _candidates(inner, options.image_pattern) if inner else []


def _first_folder(root: Path, names: Sequence[str]) -> Path | None:
    return next((root / name for name in names if (root / name).is_dir()), None)


def _folder(root: Path, name: str | None, usual: Sequence[str], key: str) -> Path:
    folder = _first_folder(root, (name,) if name else usual)
    if folder is None:
        there = sorted(p.name for p in root.iterdir() if p.is_dir())
        raise InputError(
            f"has no folder {name}" if name else f"has none of the folders {', '.join(usual)}",
            file=root,
            found=f"folders {files.first_ten(there)}" if there else "no folder",
            remedy=f"name it with data.{key}",
        )
    return folder


def _candidates(folder: Path, pattern: str) -> list[Path]:
    depth = depth_of(pattern)
    most = depth + (_DEEPEST if pattern.startswith(ANYWHERE) else 0)
    if not most:
        return files.list_images(folder)
    everything = files.walk_images(folder, depth=most)
    return [p for p in everything if len(p.relative_to(folder).parts) > depth]


def _image_regex(options: FormatOptions, channels: Sequence[str] | None) -> re.Pattern[str]:
    pattern = options.image_pattern
    known = tuple(channels or ()) if "{channel}" in pattern else ()
    return compile_pattern(pattern, key="image_pattern", channels=known)


def _match_images(
    paths: Sequence[Path],
    options: FormatOptions,
    channels: Sequence[str] | None,
    where: Path,
) -> tuple[_Found, tuple[str, ...]]:
    regex = _image_regex(options, channels)
    found: _Found = {}
    for path in paths:
        match = match_name(regex, options.image_pattern, path.absolute())
        if match is None:
            continue
        case = case_of(match)
        parts = found.setdefault(case, {})
        channel = match.groupdict().get("channel", "")
        if channel in parts:
            raise InputError(
                f"two files claim case {case}" + (f", {channel}" if channel else ""),
                file=where,
                found=f"{parts[channel]} and {path}",
                remedy="make data.image_pattern more exact",
            )
        parts[channel] = path
    if not found:
        raise InputError(
            "no image fits the pattern",
            file=where,
            expected=f"data.image_pattern: {options.image_pattern}",
            found=files.first_ten([p.name for p in paths]) or "no image file",
        )
    if "{channel}" not in options.image_pattern:
        return found, ("",)
    order = tuple(channels or sorted({c for parts in found.values() for c in parts}))
    _require_complete(found, order, where)
    return found, order


def _match_labels(folder: Path, options: FormatOptions) -> dict[str, Path]:
    pattern = options.label_pattern
    regex = compile_pattern(pattern, key="label_pattern", fields=("folder", "case"))
    labels: dict[str, Path] = {}
    for path in _candidates(folder, pattern):
        match = match_name(regex, pattern, path.absolute())
        if match is None:
            continue
        case = case_of(match)
        if case in labels:
            raise InputError(
                f"two labels for case {case}",
                file=folder,
                found=f"{labels[case]} and {path}",
                remedy="make data.label_pattern more exact",
            )
        labels[case] = path
    if not labels:
        names = [p.name for p in _candidates(folder, pattern)]
        raise InputError(
            "no label fits the pattern",
            file=folder,
            expected=f"data.label_pattern: {pattern}",
            found=files.first_ten(names) or "no image file",
        )
    return labels


def _require_complete(found: _Found, order: Sequence[str], where: Path) -> None:
    lacking = []
    for case, parts in found.items():
        absent = [channel for channel in order if channel not in parts]
        if absent:
            lacking.append(f"{case} lacks {', '.join(absent)}")
    if lacking:
        raise InputError(
            f"{files.count(len(lacking), 'case')} without all channels",
            file=where,
            expected=", ".join(order),
            found=files.first_ten(lacking),
            remedy="complete them, or name the channels with data.channels",
        )


def _require_images(
    labels: dict[str, Path], found: _Found, folder: Path, options: FormatOptions
) -> None:
    alone = [path.name for name, path in labels.items() if name not in found]
    if alone:
        example = next(iter(next(iter(found.values())).values())).name if found else "none"
        raise InputError(
            f"{files.count(len(alone), 'label')} without an image",
            file=folder,
            expected=f"an image for each (data.image_pattern: {options.image_pattern}; an image "
            f"there is called {example})",
            found=files.first_ten(alone),
            remedy="set data.image_pattern and data.label_pattern so that {case} is the same",
        )
