"""Errors that a user can act on: which file, what was expected, what came, how to mend it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class MedsegError(Exception):
    """Base of every error that medseg raises on purpose."""


class InputError(MedsegError, ValueError):
    """A mistake in what the user gave; the command line shows it without a traceback, exit code 2.

    Args:
        message: what is wrong, in one sentence.
        file: the file or folder it is about.
        expected: what would have been right.
        found: what was there instead.
        remedy: the action that mends it.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | Path | None = None,
        expected: str | None = None,
        found: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.message = message
        self.file = file
        self.expected = expected
        self.found = found
        self.remedy = remedy
        super().__init__(message)

    def __str__(self) -> str:
        lines = [f"{self.file}: {self.message}" if self.file is not None else self.message]
        for name in ("expected", "found", "remedy"):
            value = getattr(self, name)
            if value is not None:
                lines.append(f"  {name}: {value}")
        return "\n".join(lines)

    # Exceptions cross process borders (loader workers, the preprocessing pool); without this the
    # keyword arguments would be lost on the way.
    def __reduce__(self) -> tuple:
        return _rebuild, (type(self), self.__dict__.copy())


class InputErrors(InputError):
    """Several mistakes, reported at once."""

    def __init__(self, problems: Iterable[InputError | str]) -> None:
        self.problems = [p if isinstance(p, InputError) else InputError(p) for p in problems]
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Interrupted(MedsegError):
    """The user pressed Ctrl-C and the work stopped at a safe point; exit code 130."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"did you mean 'x'?"`` for the closest known name, or an empty string."""
    folded = {str(k).lower(): str(k) for k in known}
    close = get_close_matches(str(name).lower(), folded, n=1)
    return f"did you mean {folded[close[0]]!r}?" if close else ""


def _rebuild(kind: type[InputError], state: dict) -> InputError:
    error = kind.__new__(kind)
    error.__dict__.update(state)
    Exception.__init__(error, state.get("message", ""))
    return error
