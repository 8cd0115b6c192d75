"""What a stage says while it works: lines, tables and progress, or nothing."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

Advance = Callable[[int, int], None]
"""``advance(done, total)``, as long work reports it."""


class Reporter:
    """Speaks to a person on a terminal.

    Args:
        quiet: say nothing but warnings.
        json: results go to standard output as JSON, so everything else goes to standard error.
    """

    def __init__(self, *, quiet: bool = False, json: bool = False) -> None:
        self.quiet, self.json = quiet, json
        self.out = _console(stderr=json)
        self.err = _console(stderr=True)

    def say(self, text: str) -> None:
        """Print a line."""
        if not self.quiet:
            self.out.print(escape(text))

    def warn(self, text: str) -> None:
        """Print a warning, even when quiet."""
        self.err.print(f"[yellow]warning:[/yellow] {escape(text)}")

    def stage(self, name: str, text: str) -> None:
        """Open a stage."""
        if not self.quiet:
            self.out.print(f"[bold cyan]{escape(name):<10}[/bold cyan] {escape(text)}")

    @contextmanager
    def hushed(self) -> Iterator[None]:
        """Say nothing but warnings, for a while."""
        before, self.quiet = self.quiet, True
        try:
            yield
        finally:
            self.quiet = before

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Print a table; columns after the first stand right if they hold numbers."""
        if self.quiet:
            return
        numbers = all(_is_number(cell) for row in rows for cell in row[1:])
        table = Table(title=title, title_justify="left", title_style="bold")
        for i, name in enumerate(header):
            justify: Literal["left", "right"] = "left" if i == 0 or not numbers else "right"
            table.add_column(name, justify=justify, overflow="fold")
        for row in rows:
            table.add_row(*[escape(str(cell)) for cell in row])
        self.out.print(table)

    @contextmanager
    def progress(self, title: str) -> Iterator[Advance]:
        """Show progress of what reports ``(done, total)``; plain lines without a terminal."""
        if self.quiet or not sys.stderr.isatty():
            yield self._plain(title)
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("[bold cyan]{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.err, transient=True) as bar:
            task = bar.add_task(title, total=None)

            def advance(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            yield advance

    def _plain(self, title: str) -> Advance:
        """Print a line every ten seconds, for logs."""
        last = time.monotonic()

        def advance(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last > 10 and not self.quiet:
                last = time.monotonic()
                self.out.print(escape(f"{title}: {done} of {total}"))

        return advance


def _console(*, stderr: bool) -> Console:
    """Open a console; what is piped into a file or a program is not cut to a terminal's width."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else 160
    return Console(stderr=stderr, highlight=False, soft_wrap=True, width=width)


def _is_number(cell: Any) -> bool:
    text = str(cell)
    return not text or text in "–-" or text.replace(".", "", 1).lstrip("-").isdigit()
