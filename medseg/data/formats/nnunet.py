"""nnU-Net raw: numbered channel files, described by ``dataset.json``.

::

    Dataset004_Hippocampus/
      dataset.json
      imagesTr/hippocampus_001_0000.nii.gz    channel 0 of case hippocampus_001
      imagesTr/hippocampus_001_0001.nii.gz    channel 1
      labelsTr/hippocampus_001.nii.gz
      imagesTs/hippocampus_002_0000.nii.gz    optional, without labels

``dataset.json`` gives ``channel_names`` (``{"0": "T1"}``), ``labels`` (``{"background": 0,
"Anterior": 1}``) and ``file_ending``; the cases are those found in ``imagesTr``, or those under
``dataset``. Labels that are lists are regions (``{"whole_tumor": [1, 2, 3]}``), decoded in the
order of ``regions_class_order``. The first version's files (``modality``, ``labels`` as
``{"0": "background"}``) are read too. A colour picture is one file ``…_0000.png`` with the channels
red, green and blue. The voxels of the label ``ignore`` are neither learnt nor scored, unless
``data.value_map`` maps its value to another one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg.data.case import Case
from medseg.data.formats import decathlon, files, naming
from medseg.data.formats.channels import rename, select
from medseg.data.formats.layout import Layout, Recognition
from medseg.data.formats.options import FormatOptions
from medseg.data.formats.order import require_one_order
from medseg.data.formats.scheme import IGNORE
from medseg.errors import InputError

NAME = "nnunet"
LOOKED_FOR = "dataset.json with 'channel_names' and imagesTr/*_0000.*"

_NUMBERED = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")

# case id -> channel number -> file
_Found = dict[str, dict[int, Path]]


def recognise(root: Path) -> Recognition | None:
    """Say why ``root`` is an nnU-Net raw data set, or return ``None``."""
    path = root / "dataset.json"
    if not path.is_file():
        return None
    state = files.read_json_object(path)
    if "channel_names" in state:
        return Recognition(NAME, f"{path} has 'channel_names'")
    listed = isinstance(state.get("training"), list)
    if listed and decathlon.is_numbered(root, state):
        return Recognition(NAME, f"{path} lists cases whose files in imagesTr end in _0000")
    if not listed and "modality" in state and collect(files.list_images(root / "imagesTr")):
        return Recognition(NAME, f"{path} has 'modality', and files in imagesTr end in _0000")
    return None


def read(root: Path, *, channels: Sequence[str] | None, options: FormatOptions) -> Layout:
    """Read an nnU-Net raw folder.

    Raises:
        InputError: ``dataset.json`` is missing or not as described above, cases lack channels, a
            label has no image, or a case's images are listed in another order than the others'.
    """
    source = root / "dataset.json"
    if not source.is_file():
        raise InputError("has no dataset.json", file=root, expected=LOOKED_FOR)
    state = files.read_json_object(source)
    available = _channel_names(state, source)
    train, labels = _training(root, state, source)
    if not train:
        raise InputError("lists no case", file=source, expected="imagesTr/<case>_0000.*")
    tests = collect(files.list_images(root / "imagesTs"))
    pictures = _are_colour_pictures({**train, **tests}, len(available))
    positions: tuple[int, ...] = (0,)
    if pictures:
        names = rename(available, channels, source=source)
    else:
        positions, names = select(available, channels, source=source)
    require_complete(train, positions, root / "imagesTr")
    if "dataset" in state and len(available) > 1 and not pictures:
        listed = {name: [parts[i] for i in sorted(parts)] for name, parts in train.items()}
        whole = {name: paths for name, paths in listed.items() if len(paths) == len(available)}
        require_one_order(whole, available, source=source)
    require_images(labels, train, root)
    cases = [
        Case(name, tuple(parts[i] for i in positions), labels.get(name))
        for name, parts in train.items()
    ]
    held_out = [
        Case(name, tuple(parts[i] for i in positions))
        for name, parts in tests.items()
        if all(i in parts for i in positions)
    ]
    files.require_unique([*cases, *held_out], source=source)
    notes = []
    bare = [c.id for c in cases if c.label is None]
    if bare:
        notes.append(f"{files.count(len(bare), 'case')} without a label: {files.first_ten(bare)}")
    stated = state.get("numTraining")
    if stated is not None and stated != len(cases):
        notes.append(f"dataset.json states numTraining {stated}, but there are {len(cases)} cases")
    values, regions, order = _labels(state, source, options.value_map)
    return Layout(
        cases=(*cases, *held_out),
        channels=names,
        values=values,
        regions=regions,
        region_order=order,
        binding=values is not None,
        notes=tuple(notes),
    )


def group(
    paths: Sequence[Path], *, channels: Sequence[str], options: FormatOptions
) -> tuple[Case, ...]:
    """Group files by what stands before ``_0000``; the numbers are the channels' order.

    Raises:
        InputError: a file has no such number, or a case lacks channels.
    """
    images: list[Path] = []
    for path in paths:
        if path.is_dir():
            images += files.list_images(path)
        elif not _NUMBERED.fullmatch(files.stem_of(path)):
            raise InputError(
                "does not say which channel it is", file=path, expected="a name such as case_0000"
            )
        else:
            images.append(path)
    found = collect(images)
    single = _are_colour_pictures(found, len(channels))
    positions = (0,) if single else tuple(range(len(channels)))
    require_complete(found, positions, paths[0], channels)
    return tuple(Case(name, tuple(p[i] for i in positions)) for name, p in found.items())


def channel_number(path: Path) -> int | None:
    """Return the channel's number that a name ends in (``case_0001.nii.gz`` -> 1), or ``None``."""
    match = _NUMBERED.fullmatch(files.stem_of(path))
    return int(match["channel"]) if match else None


def _channel_names(state: Mapping[str, Any], source: Path) -> tuple[str, ...]:
    key = "channel_names" if "channel_names" in state else "modality"
    names = state.get(key)
    if isinstance(names, list):
        names = dict(enumerate(names))
    mapping = files.as_mapping(names, key=key, source=source)
    if not mapping:
        raise InputError("has no 'channel_names'", file=source, expected='{"0": "T1", …}')
    numbers = {
        files.as_int(k, what="a channel's number", source=source): v for k, v in mapping.items()
    }
    if sorted(numbers) != list(range(len(numbers))):
        raise InputError("must number its channels 0, 1, …", file=source, found=str(list(mapping)))
    given = [str(numbers[i]) for i in range(len(numbers))]
    # nnU-Net lets two channels share a name ("noNorm"); here a name must find its channel.
    return tuple(n if given.count(n) == 1 else f"{n}_{i}" for i, n in enumerate(given))


def _training(root: Path, state: Mapping[str, Any], source: Path) -> tuple[_Found, dict[str, Path]]:
    if "dataset" in state:
        listed = files.as_mapping(state["dataset"], key="dataset", source=source)
        return _listed(root, listed, source)
    ending = state.get("file_ending")
    images = [p for p in files.list_images(root / "imagesTr") if _ends(p, ending)]
    labels = [p for p in files.list_images(root / "labelsTr") if _ends(p, ending)]
    if not images:
        raise files.no_image(
            root / "imagesTr", named=f"files named <case>_0000{ending or '.nii.gz'}"
        )
    return collect(images), naming.by_stem(labels, source=root / "labelsTr")


def _ends(path: Path, ending: Any) -> bool:
    return not isinstance(ending, str) or path.name.lower().endswith(ending.lower())


def _listed(root: Path, listed: Mapping[str, Any], source: Path) -> tuple[_Found, dict[str, Path]]:
    found: _Found = {}
    labels: dict[str, Path] = {}
    for name, entry in listed.items():
        entry = files.as_mapping(entry, key=name, source=source)
        images = entry.get("images")
        if not isinstance(images, list) or not images:
            raise InputError(f"case {name!r} has no list 'images'", file=source)
        found[name] = dict(enumerate(files.inside(root, p, source=source) for p in images))
        if entry.get("label") is not None:
            labels[name] = files.inside(root, entry["label"], source=source)
    every = [p for parts in found.values() for p in parts.values()]
    files.require_files([*every, *labels.values()], source=source, root=root)
    return found, labels


def collect(paths: Sequence[Path]) -> _Found:
    """Gather files by what stands before ``_0000``: case -> channel number -> file.

    Raises:
        InputError: two files claim one channel of a case.
    """
    found: _Found = {}
    for path in paths:
        match = _NUMBERED.fullmatch(files.stem_of(path))
        if match is None:
            continue
        parts = found.setdefault(match["case"], {})
        number = int(match["channel"])
        if number in parts:
            raise InputError(
                f"two files claim channel {number} of case {match['case']}",
                file=path.parent,
                found=f"{parts[number].name} and {path.name}",
            )
        parts[number] = path
    return found


def _are_colour_pictures(found: _Found, num_channels: int) -> bool:
    return num_channels > 1 and all(
        set(parts) == {0} and files.suffix_of(parts[0]).lower() in _PICTURES
        for parts in found.values()
    )


def require_complete(
    found: _Found, positions: Sequence[int], where: Path, names: Sequence[str] = ()
) -> None:
    """Raise an InputError that names the cases which lack one of these channels."""
    lacking = []
    for case, parts in found.items():
        absent = [f"_{i:04d}" for i in positions if i not in parts]
        if absent:
            lacking.append(f"{case} lacks {', '.join(absent)}")
    if lacking:
        of = f" ({', '.join(names)})" if names else ""
        raise InputError(
            f"{files.count(len(lacking), 'case')} without all channels",
            file=where,
            expected=", ".join(f"_{i:04d}" for i in positions) + of,
            found=files.first_ten(lacking),
        )


def require_images(labels: Mapping[str, Path], train: _Found, root: Path) -> None:
    """Raise an InputError that names the labels without an image."""
    alone = [path.name for name, path in labels.items() if name not in train]
    if alone:
        raise InputError(
            f"{files.count(len(alone), 'label')} without an image",
            file=root / "labelsTr",
            expected="imagesTr/<case>_0000.* for each",
            found=files.first_ten(alone),
        )


def _labels(
    state: Mapping[str, Any], source: Path, value_map: Mapping[int, int]
) -> tuple[dict[str, int] | None, dict[str, tuple[int, ...]], tuple[int, ...]]:
    declared = files.as_mapping(state.get("labels"), key="labels", source=source)
    ignored = _ignored(declared, value_map)
    if not any(isinstance(v, list) for v in declared.values()):
        values = decathlon.parse_labels(declared or None, source) or {}
        return {**values, **ignored} or None, {}, ()

    def members(value: Any) -> tuple[int, ...]:
        listed = value if isinstance(value, list) else [value]
        return tuple(files.as_int(v, what="a label", source=source) for v in listed)

    regions = {name: members(v) for name, v in declared.items() if members(v) != (0,)}
    alone = {m[0]: name for name, m in regions.items() if len(m) == 1}
    present = sorted({v for m in regions.values() for v in m} - {0})
    values = {alone.get(v, f"label_{v}"): v for v in present}
    order = state.get("regions_class_order")
    if not isinstance(order, list) or len(order) != len(regions):
        raise InputError(
            "regions need 'regions_class_order'",
            file=source,
            expected=f"a list of {len(regions)} label values",
            found=repr(order),
        )
    order = [files.as_int(v, what="regions_class_order") for v in order]
    return values | ignored, regions, tuple(order)


def _ignored(declared: dict[str, Any], value_map: Mapping[int, int]) -> dict[str, int]:
    """Take the ignore label out of the declared ones; empty if there is none, or it is mapped."""
    value = declared.pop(IGNORE, None)
    number = None if value is None else files.as_int(value, what=f"{IGNORE!r}")
    return {} if number is None or number in value_map else {IGNORE: number}
