"""What a folder that fits no format holds instead: the annotation files that cannot be used."""

from __future__ import annotations

from pathlib import Path

from medseg.data.formats import files
from medseg.data.formats.tables import header_of
from medseg.errors import InputError

_MOST = 5
_FOLDERS = ("annotations", "train", "val", "valid", "test")


def unfit_files(root: Path) -> list[str]:
    """Say of a folder's tables and JSON files what keeps them from being read, in words."""
    folders = [root, *(root / name for name in _FOLDERS)]
    found = [p for folder in folders if folder.is_dir() for p in sorted(folder.iterdir())]
    said = [_table(p) or _json(p) for p in found if not p.name.startswith(".") and p.is_file()]
    return [words for words in said if words][:_MOST]


def _table(path: Path) -> str:
    if path.suffix.lower() not in (".csv", ".tsv"):
        return ""
    columns = [name for name in header_of(path) if name]
    if not columns:
        return f"{path.name} is no table in UTF-8"
    return f"{path.name} has the columns {files.first_ten(columns)}"[:200]


def _json(path: Path) -> str:
    if path.suffix.lower() != ".json":
        return ""
    try:
        state = files.read_json(path)
    except InputError as error:
        return f"{path.name} {error.message}: {error.found}"
    keys = list(state)[:10] if isinstance(state, dict) else []
    return f"{path.name} has the keys {', '.join(map(str, keys))}"[:200] if keys else ""
