"""What names of files say of cases: one file each, and ids that tell them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from medseg.data.formats.files import stem_of
from medseg.errors import InputError


def by_stem(
    paths: Iterable[Path], *, source: Path, stem: Callable[[Path], str] = stem_of
) -> dict[str, Path]:
    """Return the paths by their names without suffix.

    Args:
        paths: of files in one folder.
        source: the folder, for messages.
        stem: gives the name without suffix.

    Raises:
        InputError: two differ in the suffix only, so that nobody knows which is meant.
    """
    found: dict[str, Path] = {}
    for path in paths:
        name = stem(path)
        if name in found:
            raise InputError(
                f"two files are of case {name}",
                file=source,
                expected="one",
                found=f"{found[name].name} and {path.name}",
                remedy="remove one of them",
            )
        found[name] = path
    return found


def repeated(names: Iterable[str]) -> set[str]:
    """Return what occurs more than once."""
    return {name for name, times in Counter(names).items() if times > 1}


def path_id(path: Path, base: Path) -> str:
    """Name a file after its path below ``base``: ``p01/ct.nii.gz`` becomes ``p01_ct``."""
    below = path.relative_to(base) if path.is_relative_to(base) else Path(path.name)
    return "_".join((*below.parts[:-1], stem_of(below)))
