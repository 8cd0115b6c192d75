"""The rows of a datalist file, CSV or JSON, checked one by one."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.data.formats import files
from medseg.errors import InputError

EXPECTED = "a .csv with a column image or image_<channel>, or a .json with 'training'"

_PARTS = {
    "training": "train",
    "train": "train",
    "validation": "val",
    "val": "val",
    "valid": "val",
    "testing": "test",
    "test": "test",
}


@dataclass(frozen=True)
class Row:
    """One case as the file gives it; paths are text still."""

    where: str
    id: str
    images: tuple[str, ...]
    label: str | None = None
    group: str | None = None
    fold: int | None = None
    split: str | None = None


def read_rows(source: Path) -> tuple[list[Row], tuple[str, ...] | None]:
    """Read the rows, and the channel names where the file gives them.

    Raises:
        InputError: the file is damaged or a row is not as it should be; the line is named.
    """
    suffix = source.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return _read_csv(source)
    if suffix == ".json":
        return _read_json(source)
    raise InputError("is neither .csv nor .json", file=source, expected=EXPECTED)


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _read_csv(source: Path) -> tuple[list[Row], tuple[str, ...] | None]:
    try:
        text = source.read_text(encoding="utf-8-sig")
        table = list(csv.reader(text.splitlines(), delimiter=_delimiter(text.split("\n")[0])))
    except OSError as error:
        raise InputError("cannot be opened", file=source, found=str(error.strerror)) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("is not a CSV file in UTF-8", file=source, found=str(error)) from error
    names = [cell.strip() for cell in table[0]] if table else []
    lower = [name.lower() for name in names]
    twice = [n for n in lower if n and lower.count(n) > 1]
    if twice:
        raise InputError(f"has the column {twice[0]!r} twice", file=source)
    images = [i for i, name in enumerate(lower) if name == "image" or name.startswith("image_")]
    if not images or ("image" in lower and len(images) > 1):
        raise InputError(
            "needs one column 'image', or a column 'image_<channel>' for each channel",
            file=source,
            found=f"columns {', '.join(names)}",
        )
    rows = []
    for line, cells in enumerate(table[1:], start=2):
        if any(cell.strip() for cell in cells):
            rows.append(_csv_row(lower, images, cells, source, line))
    channels = tuple(names[i].partition("_")[2] for i in images)
    return rows, channels if channels != ("",) else None


def _csv_row(
    lower: Sequence[str], images: Sequence[int], cells: Sequence[str], source: Path, line: int
) -> Row:
    padded = [*(cell.strip() for cell in cells), *[""] * (len(lower) - len(cells))]
    if len(cells) > len(lower):
        raise InputError(
            f"line {line} has more cells than the header", file=source, found=str(len(cells))
        )
    fields = dict(zip(lower, padded, strict=True))
    entry = {
        "image": [padded[i] for i in images],
        **{key: fields.get(key) or None for key in ("id", "label", "group", "fold", "split")},
    }
    return _row(entry, source, f"line {line}", None)


def _read_json(source: Path) -> tuple[list[Row], tuple[str, ...] | None]:
    state = files.read_json(source)
    state = {"training": state} if isinstance(state, list) else state
    if not isinstance(state, dict) or not any(key in _PARTS for key in state):
        raise InputError("has no list 'training'", file=source, expected=EXPECTED)
    declares_split = any(_PARTS.get(key) == "val" and state[key] for key in state)
    rows = []
    for key, items in state.items():
        part = _PARTS.get(key)
        if part is None:
            continue
        if not isinstance(items, list):
            raise InputError(f"{key!r} must be a list", file=source)
        for index, item in enumerate(items):
            split = part if declares_split or part == "test" else None
            entry = item if isinstance(item, dict) else {"image": item}
            rows.append(_row(entry, source, f"{key}[{index}]", split))
    return rows, None


def _row(entry: Mapping[str, Any], source: Path, where: str, split: str | None) -> Row:
    listed = entry.get("image")
    items = listed if isinstance(listed, list) else [listed]
    images = tuple(p for p in items if isinstance(p, str) and p and "\0" not in p)
    if not images or len(images) < len(items):
        raise InputError(f"{where} has no image", file=source, found=repr(listed)[:80])
    label = entry.get("label")
    label = label[0] if isinstance(label, list) and len(label) == 1 else label
    if label is not None and (not isinstance(label, str) or "\0" in label):
        raise InputError(f"{where}: the label is not one path", file=source, found=repr(label)[:80])
    fold = entry.get("fold")
    if fold is not None:
        fold = files.as_int(fold, what=f"{where}: fold", source=source)
    split = entry.get("split") or split
    if split is not None and str(split).lower() not in _PARTS:
        raise InputError(
            f"{where}: unknown split", file=source, expected="train, val or test", found=repr(split)
        )
    own_id = entry.get("id")
    return Row(
        where=where,
        id=str(own_id) if own_id is not None else files.stem_of(images[0]),
        images=images,
        label=label or None,
        group=str(entry["group"]) if entry.get("group") is not None else None,
        fold=fold,
        split=_PARTS[str(split).lower()] if split else None,
    )


def looks_like_csv(path: Path) -> bool:
    """Tell whether the header has a column of images."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            header = lines.readline(65536)
    except (OSError, UnicodeDecodeError):
        return False
    names = [name.strip().strip('"').lower() for name in header.split(_delimiter(header))]
    return any(name == "image" or name.startswith("image_") for name in names)


def looks_like_json(path: Path) -> bool:
    """Tell whether a JSON file lists cases with images."""
    try:
        state = files.read_json(path)
    except InputError:
        return False
    items = state.get("training") if isinstance(state, dict) else state
    return isinstance(items, list) and any(isinstance(i, dict) and "image" in i for i in items)
