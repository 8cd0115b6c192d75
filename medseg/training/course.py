"""How far a training has come, in seconds or steps, and how near its end is."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from medseg.training.budget import LARGEST_SHARE
from medseg.training.validation_time import ValidationTime


class Course:
    """A training measured against its limit: a budget in seconds or a number of steps.

    Args:
        budget: wall-clock limit in seconds.
        steps: limit in optimiser steps.
        now: the clock, in seconds.

    Raises:
        ValueError: not exactly one limit, or one that is not above zero.
    """

    def __init__(
        self,
        *,
        budget: float | None = None,
        steps: int | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if (budget is None) == (steps is None):
            raise ValueError("give a budget in seconds or a number of steps, not both or neither")
        if (budget if budget is not None else steps) <= 0:  # type: ignore[operator]
            raise ValueError("a training's limit must be above zero")
        self.budget, self.steps, self.now = budget, steps, now
        self.validation = ValidationTime()
        self.step = 0
        self.ended = False
        self.extended = False  # resumed with another limit
        self.lead: float | None = None  # seconds until the first step was done
        self._leg = 0.0  # where the time began that is being spent: 0, or the extension's start
        self._before = 0.0  # seconds used by earlier runs of this training
        self._started: float | None = None
        self._steps_taken: Callable[[], int] = lambda: self.step
        self._step_ended: float | None = None  # a session's first step says nothing of the others
        self._step_seconds: deque[float] = deque(maxlen=9)

    @property
    def limit(self) -> float:
        """The budget in seconds, or the number of steps."""
        return float(self.budget if self.budget is not None else self.steps or 0)

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, earlier runs included."""
        return self._before + (0.0 if self._started is None else self.now() - self._started)

    @property
    def allowance(self) -> float:
        """Seconds of the budget, or of what an extension added to it."""
        assert self.budget is not None
        return self.budget - self._leg

    @property
    def spent(self) -> float:
        """Seconds of the allowance so far."""
        return self.elapsed - self._leg

    @property
    def usable(self) -> float:
        """Elapsed seconds at which the last validation must begin."""
        assert self.budget is not None
        return self.budget - min(self.validation.expected, LARGEST_SHARE * self.allowance)

    def start(self, steps_taken: Callable[[], int]) -> None:
        """Start counting.

        Args:
            steps_taken: gives the number of steps. The schedule asks for the fraction right after
                a step, before `step_done` has counted it.
        """
        self._steps_taken, self._started = steps_taken, self.now()
        self.step = steps_taken()
        self._step_ended = None

    def set_elapsed(self, seconds: float) -> None:
        """Count as used what no checkpoint knows of."""
        self._before += seconds - self.elapsed

    def begin_extension(self) -> None:
        """Count the allowance from here."""
        self._leg = self._before
        self.validation.total = 0.0

    def fraction(self) -> float:
        """Give the elapsed fraction of the training in [0, 1].

        Under a budget it is counted from the end of the first step, which may take a minute where
        a network is compiled, so that a warm-up is not over before it begins.
        """
        if self.ended:
            return 1.0
        if self.steps is not None:
            return min(1.0, max(self._steps_taken(), self.step) / self.steps)
        if self.lead is None:
            return 0.0
        lead = min(self.lead, self.usable / 2)
        return min(1.0, max(0.0, (self.elapsed - lead) / (self.usable - lead)))

    def ends_within(self, steps: float) -> bool:
        """Say whether the limit is no more than so many steps away."""
        if self.steps is not None or self.ended:
            return self.fraction() >= 1.0
        step = statistics.median(self._step_seconds) if self._step_seconds else 0.0
        return self.elapsed + steps * step >= self.usable

    def finished(self) -> bool:
        """Say whether the limit has been reached; under a budget, to the nearest step."""
        return self.ends_within(0.5)

    def step_done(self) -> None:
        """Note the time of a step."""
        if self.lead is None:
            self.lead = self.elapsed
        elif self._step_ended is not None:
            self._step_seconds.append(self.now() - self._step_ended)
        self._step_ended = self.now()

    def not_a_step(self) -> None:
        """Count the next step from here: what came since the last one belongs to neither."""
        if self._step_ended is not None:
            self._step_ended = self.now()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must know."""
        return {
            "limit": self.limit,
            "elapsed": self.elapsed,
            "step": self.step,
            "ended": self.ended,
            "lead": self.lead,
            "leg": self._leg,
            "validation": self.validation.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where an earlier run stopped; its limit may have been another one."""
        self._before, self.step = state["elapsed"], state["step"]
        # A checkpoint of an older version knows less.
        self.extended = self.limit != state.get("limit", self.limit)
        self.ended = state.get("ended", False) and not self.extended
        self.lead = state.get("lead", 0.0)
        self._leg = state.get("leg", 0.0)
        if "validation" in state:
            self.validation.load_state_dict(state["validation"])
