"""Show where the time went: a line while a training runs, a table when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from medseg.tracking.phases import PHASES, shares_of

if TYPE_CHECKING:
    from rich.table import Table

_LEAST = 0.005  # what would show as 0 % is left out


def shares_line(seconds: Mapping[str, float]) -> str:
    """Return ``loader 2 % · forward 31 % · …``; empty while nothing is measured."""
    shares = shares_of(seconds)
    return " · ".join(f"{n} {100 * s:.0f} %" for n, s in shares.items() if s >= _LEAST)


def shares_table(seconds: Mapping[str, float], *, steps: int) -> Table:
    """Return a table with a row per phase that took time."""
    from rich.table import Table

    total = sum(seconds.values())
    table = Table(
        title=f"where {total:.0f} s and {steps} steps went",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    for header in ("phase", "seconds", "share"):
        table.add_column(header, justify="left" if header == "phase" else "right")
    for name, share in shares_of(seconds).items():
        if share >= _LEAST:
            table.add_row(PHASES[name], f"{seconds[name]:.1f}", f"{100 * share:.0f} %")
    return table
