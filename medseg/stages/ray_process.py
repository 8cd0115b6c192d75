"""A process on one of a Ray cluster's machines."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_STOP_SECONDS = 600.0  # until a training has come to a safe point


class RayProcess:
    """A process on a cluster, with the manners of `subprocess.Popen`.

    Args:
        actor: the Ray actor that runs it.
    """

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.returncode: int | None = None
        self._result: Any = actor.run.remote()

    def poll(self) -> int | None:
        """Return its exit code once it has ended."""
        import ray

        if self.returncode is None:
            ready, _ = ray.wait([self._result], timeout=0)
            if ready:
                self._settle()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, or so many seconds; one that does not end then is killed."""
        import ray

        if self.returncode is None:
            ray.wait([self._result], timeout=_STOP_SECONDS if timeout is None else timeout)
            self._settle()
        assert self.returncode is not None
        return self.returncode

    def terminate(self) -> None:
        """Ask it to stop at its next safe point."""
        with suppress(Exception):
            self.actor.stop.remote()

    def _settle(self) -> None:
        import ray

        try:
            self.returncode = int(ray.get(self._result, timeout=0))
        except Exception:  # its machine is gone, or it does not end; its log may say more
            self.returncode = 1
        with suppress(Exception):
            ray.kill(self.actor)  # gives what it took back to the cluster


class Runner:
    """Runs one process on the machine that Ray chose; lives in a process of Ray's."""

    def __init__(
        self, module: str, words: str, log: str, folder: str, environment: dict[str, str]
    ) -> None:
        self.command = [sys.executable, "-m", module, words]
        self.log, self.folder, self.environment = log, folder, environment
        self.process: subprocess.Popen | None = None
        self.stopped = False

    def run(self) -> int:
        """Run it to its end, and return its exit code."""
        import ray

        node = ray.get_runtime_context().get_node_id()
        with Path(self.log).open("w", encoding="utf-8") as file:
            file.write(f"on {socket.gethostname()}, node {node}\n")
            file.flush()
            if self.stopped:
                return 130
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.PIPE,  # closed when Ray ends this process
                stdout=file,
                stderr=subprocess.STDOUT,
            )
            if self.stopped:  # meanwhile
                self.process.terminate()
            return self.process.wait()

    def stop(self) -> None:
        """Ask it to stop."""
        self.stopped = True
        if self.process is not None:
            self.process.terminate()
