"""Networks that train and predict in turn, each on a clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import bench
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from medseg.data.feed.batch import Batch
from medseg.detection.decoding import Found
from medseg.geometry.boxes import Boxes


class Contestant:
    """A network in training, and what it finds.

    Args:
        network: what learns.
        averaged: the average of its weights, which finds; ``None``: its own do.
        loss: of a batch.
        find: boxes in a whole image ``(C, *S)``.
        optimizer: makes the optimiser from the parameters.
        schedule: elapsed fraction of the training -> factor on the learning rate.
        clip: largest norm of the gradient; ``None``: no clipping.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(
        self,
        network: nn.Module,
        averaged: Any,
        *,
        loss: Callable[[Batch], Tensor],
        find: Callable[[Tensor], Found],
        optimizer: Callable[[Iterable[Any]], torch.optim.Optimizer],
        schedule: Callable[[float], float],
        clip: float | None,
        device: str = "cpu",
    ) -> None:
        self.network, self.averaged = network, averaged
        self.loss, self.find, self.clip, self.device = loss, find, clip, device
        self.steps, self.fraction = 0, 0.0
        self.times: dict[str, list[float]] = {"step": [], "scan": []}
        self.optimizer = optimizer(network.parameters())
        self.scheduler = LambdaLR(self.optimizer, lambda _: schedule(self.fraction))

    def step(self, batch: Batch) -> None:
        """Learn from a batch, on the clock."""
        self.times["step"].append(bench.seconds_of(partial(self._step, batch), device=self.device))
        self.steps += 1

    def reach(self, fraction: float) -> None:
        """Say how much of the training is over."""
        self.fraction = fraction
        self.scheduler.step()

    def look(self, image: Tensor) -> Boxes:
        """Find objects, on the clock."""
        found: list[Found] = []
        self.times["scan"].append(
            bench.seconds_of(lambda: found.append(self.find(image)), device=self.device)
        )
        corners, scores, classes = (values.cpu().numpy() for values in found[0])
        return Boxes(corners, classes, scores)

    def warm_up(self, batch: Batch) -> None:
        """Let libraries prepare for these shapes; nothing is learnt."""
        self.loss(batch).backward()
        self.optimizer.zero_grad(set_to_none=True)

    def _step(self, batch: Batch) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(batch).backward()
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        self.optimizer.step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)


def train(
    contestants: Sequence[Contestant],
    batch: Callable[[int], Batch],
    *,
    seconds: float,
    steps: int | None = None,
) -> None:
    """Train all for so many seconds each, or so many steps; who has used the least is next.

    Args:
        contestants: any number.
        batch: number of a step -> its batch, cut while no clock runs.
        seconds: of steps.
        steps: instead of seconds.
    """
    running = list(contestants)
    while running:
        one = min(running, key=lambda contestant: contestant.fraction)
        one.step(batch(one.steps))
        one.reach(sum(one.times["step"]) / seconds if steps is None else one.steps / steps)
        running = [contestant for contestant in running if contestant.fraction < 1]
