"""Several processes that train one network: started here, or by torchrun or SLURM."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from medseg import ranks
from medseg.machine import usable_cores
from medseg.stages.orders import Orders
from medseg.stages.supervision import end, supervise

_FOREVER = timedelta(days=30)  # reading and preprocessing come before a training
_GOODBYE_SECONDS = 10.0

Start = Callable[[Path, Mapping[str, str], Path | None], subprocess.Popen]
"""Starts a process: the folder of its orders, its environment, a file for what it says."""


class Crew(Protocol):
    """The processes of a training.

    Attributes:
        world_size: how many there are.
        local_size: how many of them are on this machine.
    """

    world_size: int
    local_size: int

    def train(self, orders: Orders, here: Callable[[], None], *, cuda: bool, logs: Path) -> None:
        """Carry out a training in all of them.

        Args:
            orders: what to train.
            here: does this process's part.
            cuda: whether they train on GPUs.
            logs: folder for what processes say that have no terminal.
        """
        ...


class Started:
    """Processes of this machine, one for each device, started for each training.

    Args:
        size: how many.
        start: starts one.
    """

    def __init__(self, size: int, start: Start) -> None:
        self.world_size = self.local_size = size
        self.start = start

    def train(self, orders: Orders, here: Callable[[], None], *, cuda: bool, logs: Path) -> None:
        """Start them, and wait until all are done; see `supervise` for what is raised."""
        from torch.distributed import TCPStore

        logs.mkdir(parents=True, exist_ok=True)
        # They meet at a store of this process, so that no port has to be guessed.
        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        names = [f"fold_{orders.fold}.process_{i}.log" for i in range(self.world_size)]
        files = [None, *(logs / name for name in names[1:])]  # the first one speaks for all
        with TemporaryDirectory(prefix="medseg-") as place:
            folder = Path(place)
            (folder / "orders.json").write_text(orders.to_json(), encoding="utf-8")
            processes: list[subprocess.Popen] = []
            try:
                for number, log in enumerate(files):
                    environment = self._environment(number, store.port)
                    processes.append(self.start(folder, environment, log))
            except BaseException:
                end(processes)
                raise
            supervise(processes, folder, files)

    def _environment(self, number: int, port: int) -> dict[str, str]:
        """Set what torchrun sets: there is one way only for a process to learn its place."""
        size = str(self.world_size)
        threads = str(max(1, usable_cores() // self.world_size))
        found = {
            "RANK": str(number),
            "LOCAL_RANK": str(number),
            "WORLD_SIZE": size,
            "LOCAL_WORLD_SIZE": size,
            "GROUP_RANK": "0",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "TORCHELASTIC_RUN_ID": "medseg",
            "TORCHELASTIC_RESTART_COUNT": "0",
            "TORCHELASTIC_USE_AGENT_STORE": "True",
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads),
        }
        if sys.platform == "linux":
            # Names of machines need not resolve for processes that share one.
            found["GLOO_SOCKET_IFNAME"] = os.environ.get("GLOO_SOCKET_IFNAME", "lo")
        return found


class Gathered:
    """Processes that torchrun or srun started: the first one leads, the others follow.

    Args:
        rank: of this process.
    """

    def __init__(self, rank: ranks.Rank) -> None:
        self.rank = rank
        self.world_size, self.local_size = rank.world_size, rank.local_size
        self.store: Any = ranks.connect(rank)
        self._trainings = 0

    @property
    def leads(self) -> bool:
        """Say whether this process does what needs to be done once."""
        return self.rank.number == 0

    def train(self, orders: Orders, here: Callable[[], None], *, cuda: bool, logs: Path) -> None:
        """Tell the others what to train, and train with them."""
        self._trainings += 1
        self.store.set(f"orders {self._trainings}", orders.to_json())
        self._together(self._trainings, here, cuda=cuda)

    def orders(self) -> Iterator[tuple[int, Orders]]:
        """Wait for orders, one training after the other, until there are no more."""
        from torch.distributed import DistError

        for number in count(1):
            key = f"orders {number}"
            try:
                self.store.wait([key], _FOREVER)
                text = self.store.get(key).decode()
            except DistError:  # the leader is gone, and has said why
                return
            if not text:
                self.store.add("gone", 1)
                return
            yield number, Orders.from_json(text)

    def follow(self, number: int, here: Callable[[], None], *, cuda: bool) -> None:
        """Do this process's part of a training."""
        self._together(number, here, cuda=cuda)

    def dismiss(self) -> None:
        """Let the others end; wait a moment for them, since they may listen to this process."""
        self.store.set(f"orders {self._trainings + 1}", "")
        until = time.monotonic() + _GOODBYE_SECONDS
        while time.monotonic() < until and self.store.add("gone", 0) < self.world_size - 1:
            time.sleep(0.05)

    def _together(self, number: int, here: Callable[[], None], *, cuda: bool) -> None:
        with ranks.group(self.rank, self.store, f"training {number}", cuda=cuda):
            here()
