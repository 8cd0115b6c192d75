"""Failures of the feed name the case they came from."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from medseg.errors import InputError, MedsegError


@contextmanager
def naming(case_id: str, doing: str) -> Iterator[None]:
    """Turn any failure into one that names the case.

    The text holds the traceback because a loader's worker passes on nothing but type and text.
    """
    try:
        yield
    except InputError as error:
        if repr(case_id) in str(error):
            raise
        raise InputError(f"case {case_id!r}, {doing}: {error}") from error
    except Exception as error:
        text = f"case {case_id!r}: {doing} failed\n{traceback.format_exc()}".rstrip()
        if doing != "reading":
            raise MedsegError(text) from error
        remedy = "delete the cache of this run if the file is damaged; it is made anew"
        raise InputError(text, remedy=remedy) from error
