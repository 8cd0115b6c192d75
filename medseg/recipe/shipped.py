"""The recipes that travel with medseg."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "medseg_recipes"


@cache
def folder() -> Path:
    """Return the folder of shipped recipes: the installed package, else the repository's own."""
    try:
        spec = importlib.util.find_spec(PACKAGE)
    except (ImportError, ValueError):
        spec = None
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if Path(place).is_dir():
            return Path(place)
    return Path(__file__).resolve().parents[2] / "recipes"


def shipped() -> dict[str, Path]:
    """Return every shipped recipe, by its path without suffix (``segmentation/decathlon/…``)."""
    root = folder()
    paths = sorted(p for p in root.rglob("*.yaml") if p.is_file())
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in paths}


def find(name: str) -> list[Path]:
    """Return the shipped recipes that `name` can mean: its path, or its last part."""
    wanted = name.removesuffix(".yaml").removesuffix(".yml").strip("/")
    all_recipes = shipped()
    if wanted in all_recipes:
        return [all_recipes[wanted]]
    return [path for key, path in all_recipes.items() if key.rsplit("/", 1)[-1] == wanted]


def headline(path: Path) -> str:
    """Return the first line of the comment that opens a recipe: what it is for."""
    return next((line for line in _opening(path) if line), "")


def said(path: Path, word: str) -> str:
    """Return what the opening comment says behind a word (``Data``, ``Expected``), on one line."""
    lines = list(_opening(path))
    first = next((i for i, line in enumerate(lines) if line.startswith(f"{word}:")), len(lines))
    end = next(
        (i for i, line in enumerate(lines) if i > first and re.match(r"[A-Z]\w*:", line)),
        len(lines),
    )
    return " ".join(lines[first:end]).removeprefix(f"{word}:").strip()


def _opening(path: Path) -> Iterator[str]:
    """Give the lines of the comment that opens a recipe, without their marks."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            return
        text = line.lstrip("#").strip()
        if not text.startswith("yaml-language-server"):
            yield text
