"""Large numbers in a sentence."""

from __future__ import annotations


def short(count: int) -> str:
    """Write a count with the prefix of its unit, which may follow at once: ``12.3 G``, ``320 ``."""
    for power, letter in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if count >= 10**power:
            return f"{count / 10**power:.3g} {letter}"
    return f"{count} "
