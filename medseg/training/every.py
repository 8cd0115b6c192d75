"""An interval in steps or seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Every:
    """An interval in optimiser steps or in seconds; with neither it never comes round."""

    steps: int | None = None
    seconds: float | None = None

    def due(self, steps: int, seconds: float) -> bool:
        """Say whether the interval has passed, given what went by since the last time."""
        by_steps = self.steps is not None and steps >= self.steps
        return by_steps or (self.seconds is not None and seconds >= self.seconds)
