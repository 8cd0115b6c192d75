"""Learning-rate schedules as functions of the elapsed fraction of a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.optim import Optimizer

Schedule = Callable[[float], float]
"""Elapsed fraction in [0, 1] -> factor on the learning rate. The clock decides what the fraction
measures (seconds, steps or epochs), so every schedule works for every kind of limit."""


def warm_up(fraction: float, length: float, *, start: float = 0.05) -> float:
    """Rise linearly from ``start`` to 1 over the first ``length`` of the training."""
    return 1.0 if fraction >= length else start + (1.0 - start) * fraction / length


class Cosine:
    """Half a cosine from 1 to ``final`` after a linear warm-up (Loshchilov & Hutter, 2017).

    Args:
        warmup: fraction of the training that the warm-up takes.
        final: factor at the end.
    """

    def __init__(self, *, warmup: float = 0.03, final: float = 0.0) -> None:
        self.warmup, self.final = _fraction("warmup", warmup), _fraction("final", final)

    def __call__(self, fraction: float) -> float:
        """Give the factor at ``fraction``."""
        cosine = 0.5 * (1.0 + math.cos(math.pi * _after(fraction, self.warmup)))
        return warm_up(fraction, self.warmup) * (self.final + (1.0 - self.final) * cosine)


class Poly:
    """``(1 - fraction) ** power``, nnU-Net's schedule, after an optional warm-up."""

    def __init__(self, *, power: float = 0.9, warmup: float = 0.0) -> None:
        self.power, self.warmup = float(power), _fraction("warmup", warmup)

    def __call__(self, fraction: float) -> float:
        """Give the factor at ``fraction``."""
        decay = (1.0 - _after(fraction, self.warmup)) ** self.power
        return warm_up(fraction, self.warmup) * decay


class Constant:
    """The same learning rate throughout, after an optional warm-up."""

    def __init__(self, *, warmup: float = 0.0) -> None:
        self.warmup = _fraction("warmup", warmup)

    def __call__(self, fraction: float) -> float:
        """Give the factor at ``fraction``."""
        return warm_up(fraction, self.warmup)


class Continued:
    """A schedule that was extended: what it would have been from the start, joined smoothly.

    An extension makes the same seconds or steps a smaller fraction, where the schedule stands
    higher. From the factor that the training had come to, this one rises along a smooth step (no
    jump, nor a kink) over the first ``ramp`` of what is left; from there on it is the schedule of
    the longer training.

    Args:
        schedule: of the longer training.
        start: fraction of the longer training at which it was extended.
        factor: what the schedule gave there before.
        ramp: part of the rest that joining them takes.
    """

    def __init__(
        self, schedule: Schedule, *, start: float, factor: float, ramp: float = 0.1
    ) -> None:
        self.schedule, self.start, self.factor = schedule, float(start), float(factor)
        self.ramp = _fraction("ramp", ramp)

    def __call__(self, fraction: float) -> float:
        """Give the factor at ``fraction``."""
        length = self.ramp * (1.0 - self.start)
        done = 1.0 if length <= 0 else min(1.0, max(0.0, (fraction - self.start) / length))
        weight = done * done * (3.0 - 2.0 * done)
        return self.factor + weight * (self.schedule(fraction) - self.factor)


SCHEDULES: dict[str, type] = {"cosine": Cosine, "poly": Poly, "constant": Constant}


def _after(fraction: float, warmup: float) -> float:
    """Rescale what follows the warm-up to [0, 1]."""
    return min(1.0, max(0.0, (fraction - warmup) / (1.0 - warmup)))


def _fraction(name: str, value: float) -> float:
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{name} is a fraction of the training in [0, 1), got {value}")
    return float(value)


def present_factor(optimizers: Iterable[Optimizer]) -> float:
    """Read the factor that a schedule has put on the learning rate; 1 without one."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            if group.get("initial_lr"):
                return float(group["lr"] / group["initial_lr"])
    return 1.0
