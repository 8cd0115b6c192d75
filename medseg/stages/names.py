"""Names of cases or files in a message: some of them, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence

_MOST = 3


def some(names: Sequence[str]) -> str:
    """Name three, and count the others."""
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
