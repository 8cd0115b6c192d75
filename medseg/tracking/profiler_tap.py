"""Listen to what Lightning tells its profiler, whichever profiler that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytorch_lightning.profilers import Profiler


class ProfilerTap(Profiler):
    """Stands before a trainer's own profiler and hands every action on to it.

    Args:
        profiler: the one that the trainer had.
        begin: called with the name of an action when it begins.
        end: called with its name when it ends.
        heed: of which actions.
    """

    def __init__(
        self,
        profiler: Profiler,
        begin: Callable[[str], None],
        end: Callable[[str], None],
        *,
        heed: Callable[[str], bool],
    ) -> None:
        super().__init__()
        self.profiler, self.begin, self.end, self.heed = profiler, begin, end, heed

    def start(self, action_name: str) -> None:
        """Hear an action begin."""
        self.profiler.start(action_name)
        if self.heed(action_name):
            self.begin(action_name)

    def stop(self, action_name: str) -> None:
        """Hear an action end."""
        if self.heed(action_name):
            self.end(action_name)
        self.profiler.stop(action_name)

    def summary(self) -> str:
        """Return the summary of the trainer's own profiler."""
        return self.profiler.summary()

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """Set the trainer's own profiler up."""
        self.profiler.setup(*args, **kwargs)

    def teardown(self, stage: str | None) -> None:
        """Do nothing: the trainer tears its own profiler down, once it is back in its place."""

    def describe(self) -> None:
        """Let the trainer's own profiler report."""
        self.profiler.describe()

    def __getattr__(self, name: str) -> Any:
        if name == "profiler":  # not there yet
            raise AttributeError(name)
        return getattr(self.profiler, name)
