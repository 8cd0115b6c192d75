"""Where in a recipe something is wrong, and how that is said."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from medseg.errors import InputError, InputErrors

COMMAND_LINE = "command line"


@dataclass(frozen=True, order=True)
class Place:
    """A line of a file, or the command line (line 0)."""

    file: str
    line: int = 0

    @property
    def is_command_line(self) -> bool:
        """Whether the value was given as an override."""
        return self.file == COMMAND_LINE

    def __str__(self) -> str:
        return self.file if self.line == 0 else f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Problem:
    """One mistake: ``file:line: key: message; did you mean …?``.

    Attributes:
        place: the line that holds the mistake.
        key: dotted key it is about, or empty.
        message: what is wrong, in plain words.
        suggestions: what may have been meant.
    """

    place: Place
    key: str
    message: str
    suggestions: tuple[str, ...] = ()

    def to_error(self) -> InputError:
        """Return the error that the command line shows."""
        text = f"{self.key}: {self.message}" if self.key else self.message
        if self.suggestions:
            text += f"; did you mean {' or '.join(self.suggestions)}?"
        return InputError(text, file=str(self.place))


def similar(word: str, known: Iterable[str], *, limit: int = 1) -> tuple[str, ...]:
    """Return the known words that `word` was probably meant to be, best first."""
    known = list(dict.fromkeys(known))
    # Case is compared apart: difflib finds `DICE` and `dice` as different as can be.
    folded = {name.lower(): name for name in reversed(known)}
    close = difflib.get_close_matches(word.lower(), folded, n=limit, cutoff=0.6)
    return tuple(folded[name] for name in close)


def raise_all(problems: Iterable[Problem]) -> None:
    """Raise every problem at once, in the order of files and lines; return if there is none.

    Raises:
        InputErrors: there is a problem.
    """
    unique = list(dict.fromkeys(problems))
    files = {p.place.file: i for i, p in reversed(list(enumerate(unique)))}
    unique.sort(key=lambda p: (files[p.place.file], p.place.line))
    if unique:
        raise InputErrors(problem.to_error() for problem in unique)
