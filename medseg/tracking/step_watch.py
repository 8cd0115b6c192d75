"""Follow a training through its phases: which one is open, and what it goes back to."""

from __future__ import annotations

from medseg.tracking.phases import EPOCH, LOADER, OTHER, START, VALIDATION, phase_of
from medseg.tracking.stopwatch import Stopwatch

_NEXT = "train_dataloader_next"


class StepWatch:
    """Tells a stopwatch which phase a training is in.

    Phases nest as Lightning nests them: the optimiser's step runs the forward and backward pass
    inside it. Each gets the time that is spent in it and in nothing within it. A validation is one
    phase, whatever runs in it.

    Args:
        stopwatch: measures; it begins in the phase ``other``.
    """

    def __init__(self, stopwatch: Stopwatch) -> None:
        self.stopwatch = stopwatch
        self._open: list[tuple[str, str]] = []  # actions and their phases, innermost last
        self._base = OTHER
        self._now = OTHER
        self._validating = False

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by phase, as of the last `step_done` or `settle`."""
        return self.stopwatch.seconds

    def begin(self, action: str, phase: str | None = None) -> None:
        """Open an action of Lightning's profiler, or any other with a phase of its own."""
        if self._validating:
            return
        phase = phase or phase_of(action)
        if phase is not None:
            self._open.append((action, phase))
        elif action == EPOCH:
            # Loader processes start before the first batch is asked for.
            self._base = LOADER
        self._switch()

    def end(self, action: str) -> None:
        """Close an action, and whatever was left open within it."""
        if self._validating:
            return
        if action.endswith(_NEXT):
            self._base = OTHER
        for i in range(len(self._open) - 1, -1, -1):
            if self._open[i][0] == action:
                del self._open[i:]
                break
        self._switch()

    def begin_validation(self) -> None:
        """Give everything to the validation, until `end_validation`."""
        self._open.clear()
        self._base = OTHER
        self._switch(VALIDATION)
        self._validating = True

    def end_validation(self) -> None:
        """Go back to the training."""
        self._validating = False
        self._switch()

    def step_done(self) -> None:
        """Close a training step; what an error left open does not outlive it."""
        self._open.clear()
        self._base = OTHER
        self._switch()
        self.stopwatch.settle()

    def set_up(self) -> None:
        """Give all that went by so far to the phase ``start``. Waits for the device, once.

        Compilation, the choice of kernels and the first allocation fall into the first step, and
        would be taken for slow phases.
        """
        self.stopwatch.settle(wait=True)
        spent = sum(self.seconds.values())
        self.seconds.clear()
        self.seconds[START] = spent

    def settle(self) -> None:
        """Bring ``seconds`` up to date. Waits for the device."""
        self.stopwatch.settle(wait=True)

    def _switch(self, phase: str | None = None) -> None:
        phase = phase or (self._open[-1][1] if self._open else self._base)
        if phase != self._now:
            self.stopwatch.switch(phase)
            self._now = phase
