"""Processes that were started by another one, and shall not outlive it."""

from __future__ import annotations

import os
import signal
import threading


def end_with_starter() -> None:
    """Send SIGTERM to this process once the one that holds its standard input is gone.

    A process that is killed cannot tell those that it started; what it held open is closed.
    """

    def wait() -> None:
        # Not by sys.stdin: a thread that waits in it keeps Python from closing it at the end.
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True, name="leash").start()
