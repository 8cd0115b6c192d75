"""What case ids must be like, and what patterns say about them: patients, and who is held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from medseg.data.case import Case
from medseg.data.formats import files
from medseg.data.formats.patterns import compile_pattern
from medseg.errors import InputError


def with_groups(cases: Sequence[Case], pattern: str | None, source: Path) -> list[Case]:
    """Say of each case which patient it is of, where a pattern says where that stands in its id.

    Raises:
        InputError: the pattern does not fit every id.
    """
    if pattern is None:
        return list(cases)
    regex = compile_pattern(pattern, key="group_pattern", fields=("group",), required="group")
    out, unfit = [], []
    for case in cases:
        match = regex.fullmatch(case.id)
        if match is None:
            unfit.append(case.id)
        else:
            out.append(replace(case, group=match["group"]))
    if unfit:
        raise InputError(
            "data.group_pattern does not fit every case id",
            file=source,
            expected=f"{pattern!r}, where {{group}} is the patient, in each",
            found=("none fits: " if not out else "") + files.first_ten(unfit),
            remedy="say where the patient stands in the whole id, such as data.group_pattern="
            "'{group}_*'; * is any text, ? one character",
        )
    return out


def hold_out(cases: Sequence[Case], patterns: Sequence[str]) -> tuple[dict[str, list[str]], ...]:
    """Make the one fold that validates on the cases of these names.

    Raises:
        InputError: a pattern fits no case, or they fit all of them.
    """
    fits = {p: [c.id for c in cases if fnmatchcase(c.id, p.replace("[", "[[]"))] for p in patterns}
    idle = [pattern for pattern, ids in fits.items() if not ids]
    val = sorted({case_id for ids in fits.values() for case_id in ids})
    if idle or len(val) == len(cases):
        raise InputError(
            f"data.held_out: no case is called {idle[0]!r}" if idle else "data.held_out: all cases",
            expected="ids of some of the labelled cases; * is any text, ? any one character",
            found=f"cases {files.first_ten([case.id for case in cases])}",
        )
    train = sorted({case.id for case in cases} - set(val))
    return ({"train": train, "val": val},)


def require_sound_ids(cases: Sequence[Case], source: Path) -> None:
    """Ids become file names, so they must not lead anywhere, and are written down as UTF-8.

    Raises:
        InputError: an id cannot name a file, or a file's name is not text.
    """
    for case in cases:
        if not case.id.strip() or case.id in (".", "..") or any(c in case.id for c in "/\\\0\n\r"):
            raise InputError(
                "has a case id that cannot name a file",
                file=source,
                expected="text without slashes",
                found=repr(case.id),
            )
        for path in (*case.images, case.label):
            if path is not None and not _is_text(path):
                raise InputError(
                    "has a file whose name is not text",
                    file=source,
                    expected="names in UTF-8",
                    found=repr(str(path)),
                    remedy="rename it, for instance with convmv",
                )


def _is_text(path: Path) -> bool:
    """Tell whether a path can be written down; the system gives other bytes as surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in str(path))
