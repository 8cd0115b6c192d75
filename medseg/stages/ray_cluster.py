"""Trainings as processes on the machines of a Ray cluster, which has a place for each."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from medseg.errors import InputError
from medseg.stages.ray_process import RayProcess, Runner

_CONNECT_SECONDS = 10.0
# A worker's own: Ray says there which GPUs are its training's, and where it lives.
_OF_THE_WORKER = ("CUDA_VISIBLE_DEVICES", "RAY_", "PATH", "HOME", "TMPDIR", "HOSTNAME", "OMP_")


@dataclass(frozen=True)
class Resources:
    """What one training takes of a cluster.

    Attributes:
        cpus: cores.
        gpus: GPUs; a part of one, such as 0.5, shares it.
    """

    cpus: float
    gpus: float

    def __str__(self) -> str:
        """Say it in words."""
        words = [f"{self.cpus:g} CPU{'s' * (self.cpus != 1)}"]
        if self.gpus:
            words.append(f"{self.gpus:g} GPU{'s' * (self.gpus != 1)}")
        return " and ".join(words)


class RayCluster:
    """A cluster that this process is connected to.

    Args:
        each: what a training takes.
        capacity: how many trainings it holds at once.
    """

    def __init__(self, each: Resources, capacity: int) -> None:
        self.each, self.capacity = each, capacity

    def start(self, module: str, words: str, log: Path) -> tuple[RayProcess, Path]:
        """Start ``python -m module words`` where there is room; it begins once there is.

        Working folder, run folder and data must be the same on all machines.
        """
        import ray

        runner = ray.remote(Runner).options(
            num_cpus=self.each.cpus, num_gpus=self.each.gpus, max_concurrency=2, max_restarts=0
        )
        log = log.absolute()
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("waiting for a place in the cluster\n", encoding="utf-8")
        threads = os.environ.get("OMP_NUM_THREADS", str(max(1, int(self.each.cpus))))
        environment = {**_own(os.environ), "OMP_NUM_THREADS": threads}
        if not self.each.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ""
        actor = runner.remote(module, words, str(log), str(Path.cwd()), environment)
        return RayProcess(actor), log


@contextmanager
def connected(
    address: str, *, apart: int, cpus: float | None, gpus: float | None, wants_gpus: int
) -> Iterator[RayCluster]:
    """Connect to a cluster, or make one of this machine, for a while.

    Args:
        address: ``HOST:PORT``, ``ray://HOST:PORT``, ``auto`` (the one that runs here), or
            ``local``: this machine alone.
        apart: how many trainings there will be.
        cpus: cores for each; ``None``: those of the cluster, shared out.
        gpus: GPUs for each; ``None``: ``wants_gpus`` where the cluster has any.
        wants_gpus: GPUs that one training uses; 0: it trains on CPUs.

    Raises:
        InputError: Ray is missing or has no such cluster, or no machine of it holds a training.
    """
    if find_spec("ray") is None:
        raise InputError(
            "--ray needs Ray, which is not installed",
            remedy="pip install 'medseg[ray]', or pip install ray; without --ray, folds and trials "
            "run on this machine",
        )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it reports to its makers
    import ray

    ours = not ray.is_initialized()
    if ours:
        _init(address)
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        each = resources(nodes, apart=apart, cpus=cpus, gpus=gpus, wants_gpus=wants_gpus)
        yield RayCluster(each, min(apart, capacity(nodes, each)))
    finally:
        if ours:
            ray.shutdown()


def resources(
    nodes: list[Mapping[str, float]],
    *,
    apart: int,
    cpus: float | None,
    gpus: float | None,
    wants_gpus: int,
) -> Resources:
    """Say what each of ``apart`` trainings takes; arguments as for `connected`.

    Raises:
        InputError: no machine has that, or Ray does not divide GPUs like that.
    """
    all_gpus = sum(node.get("GPU", 0) for node in nodes)
    if gpus is None:
        gpus = float(wants_gpus) if all_gpus else 0.0
    if cpus is None:
        fitting = [node for node in nodes if node.get("GPU", 0) >= gpus]
        # As many side by side as there are GPUs for them, or trainings; and never none.
        beside = int(all_gpus // gpus) if gpus else apart
        total = sum(node.get("CPU", 0) for node in fitting)
        most = max((node.get("CPU", 0) for node in fitting), default=1)
        cpus = float(max(1, min(most, total // max(1, min(beside, apart)))))
    if gpus > 1 and gpus % 1:
        raise InputError(
            "a training takes a part of one GPU, or whole ones",
            expected="--gpus below 1, or a whole number",
            found=f"--gpus {gpus:g}",
        )
    each = Resources(float(cpus), float(gpus))
    if not capacity(nodes, each):
        there = [f"{n.get('CPU', 0):g} CPUs, {n.get('GPU', 0):g} GPUs" for n in nodes]
        raise InputError(
            "no machine of the cluster has room for a training",
            expected=f"{each} for each",
            found="; ".join(there) or "no machine",
            remedy="ask for less: --cpus 1 --gpus 0",
        )
    return each


def capacity(nodes: list[Mapping[str, float]], each: Resources) -> int:
    """Count the trainings that a cluster holds at once."""
    found = 0.0
    for node in nodes:
        rooms = [
            node.get(name, 0) // amount
            for name, amount in (("CPU", each.cpus), ("GPU", each.gpus))
            if amount
        ]
        found += min(rooms, default=0)
    return int(found)


def _init(address: str) -> None:
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address != "local":
        if address != "auto":
            _require_answer(address)
        options["address"] = address
    else:
        options |= {"address": "local", "include_dashboard": False}
    began = time.monotonic()
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"there is no Ray cluster at {address}",
            expected="the address of a running cluster, auto, or none for this machine alone",
            found=f"{reason} (after {time.monotonic() - began:.0f} s)",
            remedy="ray start --head on its first machine says the address",
        ) from error


def _require_answer(address: str) -> None:
    """Refuse an address where nobody listens: Ray itself would try for minutes.

    Raises:
        InputError: it is no address, or there is no answer.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not host or not port.isdigit():
        raise InputError(
            "this is no address of a Ray cluster",
            expected="HOST:PORT, ray://HOST:PORT, auto, or none for this machine alone",
            found=address,
        )
    try:
        with socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS):
            pass
    except (OSError, OverflowError) as error:
        raise InputError(
            f"there is no Ray cluster at {address}",
            found=f"no answer within {_CONNECT_SECONDS:.0f} s: {error}",
            remedy="ray start --head on its first machine says the address; a firewall may stand "
            "between",
        ) from error


def _own(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out what another machine, and Ray there, knows better."""
    return {k: v for k, v in environment.items() if not k.startswith(_OF_THE_WORKER)}
