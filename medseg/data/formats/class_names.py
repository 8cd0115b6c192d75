"""What the classes of listed objects are called: names that can be shown and told apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from medseg.data.case import Case
from medseg.errors import InputError


def require_names(names: Sequence[str], cases: Sequence[Case], source: Path) -> None:
    """Refuse what is no name of a class of objects.

    Args:
        names: of the classes, in the order of their indices.
        cases: whose annotations say in which file a class occurs.
        source: the folder, where none of them does.

    Raises:
        InputError: a class is called background, is a number below 0, or has signs that cannot be
            shown.
    """
    for index, name in enumerate(names):
        wrong = _wrong(name)
        if wrong:
            raise InputError(
                f"a class is called {name!r}, {wrong}",
                file=_file_of(index, cases) or source,
                expected="a name, such as cell",
                found=repr(name)[:80],
                remedy="correct it, or remove what is of this class",
            )


def alike(names: Iterable[str]) -> tuple[str, ...]:
    """Note names that differ in their letters' case only: one class, perhaps."""
    same: dict[str, list[str]] = {}
    for name in sorted(names):
        same.setdefault(name.casefold(), []).append(name)
    return tuple(
        f"classes that differ in their letters' case only: {' and '.join(found)}"
        for found in same.values()
        if len(found) > 1
    )


def _wrong(name: str) -> str:
    if not name.isprintable():
        return "which has signs that cannot be shown"
    if name.casefold() == "background":
        return "which is where no object is"
    try:
        return "which is a number below 0" if float(name) < 0 else ""
    except ValueError:
        return ""


def _file_of(index: int, cases: Sequence[Case]) -> Path | None:
    drawn = (case.annotation for case in cases if case.annotation is not None)
    return next((one.file for one in drawn if index in one.classes), None)
