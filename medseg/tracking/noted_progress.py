"""A progress display with a line below its bars."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rich.console import RenderableType
from rich.progress import Progress
from rich.text import Text


class NotedProgress(Progress):
    """Shows a line of text under the bars, cut to the terminal's width.

    Args:
        columns: as for rich's ``Progress``.
        note: returns the line; asked whenever the display is drawn. Empty: no line.
        options: as for rich's ``Progress``.
    """

    def __init__(self, *columns: Any, note: Callable[[], str], **options: Any) -> None:
        self.note = note
        super().__init__(*columns, **options)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Give bars and line."""
        yield self.make_tasks_table(self.tasks)
        if note := self.note():
            yield Text(note, style="dim", no_wrap=True, overflow="ellipsis")
