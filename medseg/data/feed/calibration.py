"""How many loader processes a training gets, by rule where that is certain, else by trying."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_start_method
from statistics import median

import torch
from torch.utils.data import DataLoader, Sampler

from medseg.data.feed.batch import collate
from medseg.data.feed.dataset import PatchDataset
from medseg.data.feed.loader import PatchBatches
from medseg.data.feed.residence import Residence
from medseg.machine import usable_cores, within_cores

# Below this part of a step, loading in the training's own process is not worth a second one.
_CHEAP = 0.02
# Handing a batch from one process to another takes about as long.
_HANDOVER_SECONDS = 0.005
_MOST_WORKERS = 12
_MOST_BATCHES = 20


@dataclass(frozen=True)
class FeedPlan:
    """What a training's feed does on the machine at hand.

    Attributes:
        residence: where the cases live: ``ram``, ``disk`` or ``device``.
        workers: loader processes; 0 loads in the training's own.
        pin_memory: batches lie in page-locked memory, which a GPU copies from without waiting.
        prefetch: batches that are made ready while a step runs.
        reason: why, in one line.
        patches_per_second: before augmentation; ``None`` where it was not measured.
    """

    residence: str
    workers: int
    pin_memory: bool
    prefetch: int
    reason: str
    patches_per_second: float | None = None

    def line(self) -> str:
        """Say it in one line."""
        place = {"ram": "in memory", "disk": "on disk", "device": "on the training device"}
        loads = "no workers" if not self.workers else _counted(self.workers)
        return f"cases {place[self.residence]}, {loads}: {self.reason}"


def plan_feed(
    data: PatchDataset,
    residence: Residence,
    *,
    device: torch.device,
    workers: int | None = None,
    step_seconds: float | None = None,
    seconds: float = 2.0,
    processes: int = 1,
) -> FeedPlan:
    """Choose workers, pinning and prefetch.

    Nothing is measured where the answer is plain: cases on the device, a number that was asked for,
    or cases in memory without per-sample transforms. Else a few batches are made without workers,
    then with as many as there are cores to spare.

    Args:
        data: whose cases have settled.
        residence: where they live.
        device: where the training runs.
        workers: what was asked for; no more are used than there are cores.
        step_seconds: what a training step takes without its feed, if known.
        seconds: to spend on measuring, beyond the first batch of either kind.
        processes: that share this machine's cores, and each step's patches.
    """
    on_gpu = device.type == "cuda"

    def plan(chosen: int, reason: str, rate: float | None = None) -> FeedPlan:
        if residence.where == "device":
            return FeedPlan("device", 0, False, 0, reason, rate)
        ahead = 2 * chosen if chosen else int(on_gpu and not data.transforms)
        return FeedPlan(residence.where, chosen, on_gpu, ahead, reason, rate)

    if residence.where == "device":
        return plan(0, residence.reason)
    if workers is not None:
        used, remark = within_cores(workers)
        return plan(used, remark or f"data.workers is {workers}")
    if residence.where == "ram" and not data.transforms:
        return plan(0, f"{residence.reason}; cutting patches costs next to nothing")
    alone = _alone(data, seconds=seconds / 2) / processes
    rate = data.batch_size / processes / alone
    limit = max(_HANDOVER_SECONDS, _CHEAP * (step_seconds or 0.0))
    if alone <= limit:
        return plan(0, f"a batch is loaded in {1e3 * alone:.1f} ms", rate)
    most = min(max(usable_cores() // processes - 1, 1), _MOST_WORKERS)
    together = _together(data, most, seconds=seconds / 2)
    together = alone / most if together is None else together / processes
    chosen = choose_workers(alone, together, most=most, step=step_seconds)
    if chosen == 0:
        return plan(0, f"{rate:.0f} patches a second; {_counted(most)} would be no faster", rate)
    with_them = data.batch_size / processes / (together * most / chosen)
    return plan(chosen, f"{with_them:.0f} patches a second, {rate:.0f} without", with_them)


def choose_workers(alone: float, together: float, *, most: int, step: float | None) -> int:
    """Choose the fewest workers that make a training as fast as ``most`` would.

    Without workers a step waits for its batch; with them it takes the longer of the two.

    Args:
        alone: seconds a batch takes without workers.
        together: seconds between batches with ``most`` workers.
        most: number of workers that ``together`` was measured with.
        step: seconds of a step without its feed; ``None``: unknown, so that only the rate counts.
    """
    base = step or 0.0
    best = max(base, together)
    if best >= 0.97 * (base + alone):
        return 0
    return next(n for n in range(1, most + 1) if max(base, together * most / n) <= 1.03 * best)


class _Forward(Sampler[list[int]]):
    """Batches of item numbers without end."""

    def __init__(self, batch_size: int, first: int) -> None:
        self.batch_size, self.first = batch_size, first

    def __iter__(self) -> Iterator[list[int]]:
        for number in count(self.first):
            yield list(range(number * self.batch_size, (number + 1) * self.batch_size))


def _alone(data: PatchDataset, *, seconds: float) -> float:
    """Time batches in this process; the first is not counted: it imports and opens files."""
    batches = iter(_Forward(data.batch_size, 0))
    data.batch(next(batches))
    took: list[float] = []
    until = time.perf_counter() + seconds
    while not took or (len(took) < _MOST_BATCHES and time.perf_counter() < until):
        started = time.perf_counter()
        data.batch(next(batches))
        took.append(time.perf_counter() - started)
    return median(took)


def _together(data: PatchDataset, workers: int, *, seconds: float) -> float | None:
    """Time batches with workers, once all have begun; ``None`` where starting them takes long."""
    if get_start_method() != "fork":
        return None
    loader = DataLoader(
        PatchBatches(data),
        # Behind those that were just read, which the system still has in memory.
        batch_sampler=_Forward(data.batch_size, _MOST_BATCHES + 1),  # type: ignore[arg-type]
        num_workers=workers,
        collate_fn=collate,
        generator=torch.Generator(),
    )
    batches = iter(loader)
    # As many as were under way while the processes started.
    for _ in range(2 * workers):
        next(batches)
    started, done = time.perf_counter(), 0
    while not done or (done < _MOST_BATCHES * workers and time.perf_counter() < started + seconds):
        next(batches)
        done += 1
    return (time.perf_counter() - started) / done


def _counted(workers: int) -> str:
    return f"{workers} worker{'s' * (workers != 1)}"
