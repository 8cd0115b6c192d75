"""A number in a table that is printed."""

from __future__ import annotations


def cell(value: float | None, form: str = ".4f") -> str:
    """Write a score, or a dash where there is none."""
    return "–" if value is None else format(value, form)
