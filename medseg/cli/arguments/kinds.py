"""From the text of an argument to its value, or a word on what it should be."""

from __future__ import annotations

from argparse import ArgumentTypeError


def positive(text: str) -> int:
    """Read a whole number above 0."""
    if not text.isdigit() or not int(text):
        raise ArgumentTypeError(f"expected a positive whole number, got {text!r}")
    return int(text)


def number(text: str) -> float:
    """Read a number that is not negative."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < 1e6:
        raise ArgumentTypeError(f"expected a number, 0 or above, got {text!r}")
    return found


def amount(text: str) -> int | float:
    """Read seconds (a float), written as ``30m``, or steps (an int)."""
    from medseg.recipe.durations import parse_interval

    count = text.removesuffix("steps").strip()
    try:
        return parse_interval(int(count) if count.isdigit() else text)
    except ValueError:
        message = f"expected a length of time such as 30m, or a number of steps, got {text!r}"
        raise ArgumentTypeError(message) from None
