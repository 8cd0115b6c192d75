"""One time for all processes of a training, so that what they do by the clock they do together."""

from __future__ import annotations

import time
from collections.abc import Callable

from medseg import ranks


class CommonTime:
    """The time in seconds; of several processes, the first one's when they last met.

    Alone it is the clock as it stands. With others it stands still between two calls of `meet`,
    which every process makes at the same points: whatever follows from it (to stop, to validate,
    the learning rate) is then the same in all of them, and none waits for another in vain.

    Args:
        now: the clock of this process.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.own = now
        self._met: float | None = None

    def __call__(self) -> float:
        """Return it."""
        return self.own() if self._met is None else self._met

    def meet(self) -> None:
        """Agree on the time, if there are others."""
        if ranks.world_size() > 1:
            self._met = ranks.first_number(self.own())
