"""Stopwatches that give every moment to one phase, on the host's clock or on the device's."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol


class Stopwatch(Protocol):
    """Adds up seconds by phase."""

    seconds: dict[str, float]

    def switch(self, phase: str) -> None:
        """Give the time from now on to ``phase``."""

    def settle(self, *, wait: bool = False) -> None:
        """Bring ``seconds`` up to date, as far as is known without waiting for a device."""


class HostStopwatch:
    """Measures on the host: right where work is done by the time a call returns, as on CPUs.

    Args:
        phase: where it begins.
        now: the clock, in seconds; tests pass their own.
    """

    def __init__(self, phase: str, *, now: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: dict[str, float] = {}
        self._now, self._phase, self._since = now, phase, now()

    def switch(self, phase: str) -> None:
        """Give the time from now on to ``phase``."""
        now = self._now()
        self.seconds[self._phase] = self.seconds.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now

    def settle(self, *, wait: bool = False) -> None:
        """Count what the phase under way has taken so far."""
        self.switch(self._phase)


class CudaStopwatch:
    """Measures on the GPU, by events in its stream, and never makes the host wait for it.

    The time between two events is what the device spent from one to the next, idle time included.
    So a loader that is slow behind the back of a busy GPU costs nothing here, and one that the GPU
    waits for costs what it waits: the shares add up to the wall-clock time and name what is on the
    critical path. A clock on the host would see kernels being launched, not run. Events are read
    when the device has passed them, usually a step later, and used again.

    Args:
        phase: where it begins.
        event: makes an event; tests pass their own.
    """

    def __init__(self, phase: str, *, event: Callable[[], Any] | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._event = event or _timing_event
        self._spare: list[Any] = []
        self._ahead: deque[tuple[Any, str]] = deque()
        self._phase = phase
        self._last = self._record()

    def switch(self, phase: str) -> None:
        """Give the time from now on, in the stream's order, to ``phase``."""
        self._ahead.append((self._record(), phase))

    def settle(self, *, wait: bool = False) -> None:
        """Read the events that the device has passed; with ``wait``, all of them."""
        if wait:
            self.switch(self._ahead[-1][1] if self._ahead else self._phase)
            self._ahead[-1][0].synchronize()
        while self._ahead and self._ahead[0][0].query():
            event, phase = self._ahead.popleft()
            took = self._last.elapsed_time(event) / 1000
            self.seconds[self._phase] = self.seconds.get(self._phase, 0.0) + took
            self._spare.append(self._last)
            self._last, self._phase = event, phase

    def _record(self) -> Any:
        event = self._spare.pop() if self._spare else self._event()
        event.record()
        return event


def _timing_event() -> Any:
    import torch

    return torch.cuda.Event(enable_timing=True)
