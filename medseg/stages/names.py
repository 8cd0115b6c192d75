"""Ids of cases in a message: some of them, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence

_MOST = 3


def some(ids: Sequence[str]) -> str:
    """Name three, and count the others."""
    more = f" and {len(ids) - _MOST} more" if len(ids) > _MOST else ""
    return ", ".join(ids[:_MOST]) + more
