"""Switch on what makes a training step faster on the device at hand, and nothing that does not."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from math import inf, isfinite
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from medseg import ranks
from medseg.training import rng
from medseg.training.backends import fastest
from medseg.training.compiling import compile_or_not, is_compiled, uncompile
from medseg.training.waiting import wait_for

_log = logging.getLogger(__name__)

Switch = bool | Literal["auto"]

# Compiling a 3D network takes half a minute to a minute, so it is left alone where less than ten
# times that is left of the training.
COMPILE_FROM_SECONDS = 600.0
_GAIN = 0.97  # of the time of a step: less is noise
_WARM_UP, _TIMED = 3, 5


@dataclass(frozen=True)
class Chosen:
    """What was switched on, and the seconds of a step by way of computing it, where timed."""

    channels_last: bool
    compiled: bool
    seconds: dict[str, float]


class FastStep(pl.Callback):
    """Chooses memory format and compilation when a training starts.

    ``auto`` tries on CUDA, by timing some forward and backward passes of a real batch, and does
    nothing elsewhere. The weights, gradients and random states are as before afterwards. On CUDA it
    also lets cuDNN search for the fastest algorithms, which patches of one size make worth while,
    and multiply in TF32.

    It belongs behind the clock, so that a budget pays for what is tried. Several processes all try,
    and do what the first one finds faster.

    Args:
        compile: run the network compiled. What fails in that leaves it uncompiled and is said.
        channels_last: keep channels innermost in memory.
        batch: makes a batch like those of the training; default: one of the data module's.
        seconds: returns how long the training still goes on, or
        steps: how many it takes as a whole; decides whether compiling is tried.
        say: told what was chosen.
    """

    def __init__(
        self,
        *,
        compile: Switch = "auto",
        channels_last: Switch = "auto",
        batch: Callable[[], Any] | None = None,
        seconds: Callable[[], float] | None = None,
        steps: int | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self.compile, self.channels_last = compile, channels_last
        self.batch, self.say = batch, say
        self.seconds, self.steps = seconds, steps
        self.chosen: Chosen | None = None
        self._fastest = ExitStack()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Let CUDA compute as fast as it can."""
        self._fastest.enter_context(fastest(trainer.strategy.root_device))

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave the process as it was."""
        self._fastest.close()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose."""
        if trainer.should_stop or not isinstance(getattr(pl_module, "network", None), nn.Module):
            return
        self.chosen = self._choose(trainer, pl_module)
        pl_module.zero_grad(set_to_none=True)
        match_layout(trainer.optimizers)

    def _choose(self, trainer: pl.Trainer, module: Any) -> Chosen:
        measured: dict[str, float] = {}
        tried = "auto" in (self.compile, self.channels_last) and may_gain(module.device)
        step = self._step(trainer, module) if tried or self.compile is True else None
        last = self.channels_last is True
        if tried and step is not None and self.channels_last == "auto":
            measured["plain"] = ranks.first_number(_seconds(step))
            set_channels_last(module, True)
            measured["channels last"] = ranks.first_number(_seconds(step))
            last = measured["channels last"] < _GAIN * measured["plain"]
        set_channels_last(module, last)
        self._compile(trainer, module.network, step, measured)
        compiled = is_compiled(module.network)
        measured = {name: seconds for name, seconds in measured.items() if isfinite(seconds)}
        if last or compiled:
            words = [w for w, on in (("channels last", last), ("compiled", compiled)) if on]
            gain = measured["plain"] / min(measured.values()) if "plain" in measured else 0.0
            self.say(f"  network: {', '.join(words)}" + (f", {gain:.2f}x" if gain else ""))
        return Chosen(last, compiled, measured)

    def _compile(
        self,
        trainer: pl.Trainer,
        network: nn.Module,
        step: Callable[..., float] | None,
        measured: dict[str, float],
    ) -> None:
        attempt = None if step is None else partial(step, warm_up=0, timed=1)
        if self.compile is True:
            compile_or_not(network, self.say, attempt)
        elif self.compile == "auto" and step is not None:
            best = min(measured.values()) if measured else ranks.first_number(_seconds(step))
            steps = (self.steps or 0) - trainer.global_step
            left = self.seconds() if self.seconds is not None else best * steps
            if isfinite(best) and left >= COMPILE_FROM_SECONDS:
                failed = not compile_or_not(network, self.say, attempt)
                if not ranks.any_of(failed):
                    measured["compiled"] = ranks.first_number(_seconds(step))
                if measured.get("compiled", best) >= _GAIN * best:
                    uncompile(network)

    def _step(self, trainer: pl.Trainer, module: Any) -> Callable[..., float] | None:
        """Return a function that times a forward and backward pass, in seconds."""
        batch = self.batch() if self.batch is not None else _one_batch(trainer)
        if batch is None or not hasattr(module, "batch_loss"):
            return None
        batch = trainer.strategy.batch_to_device(batch, module.device)
        return partial(
            step_seconds, module, batch, context=trainer.precision_plugin.forward_context
        )


def may_gain(device: torch.device) -> bool:
    """Say whether the switches are worth trying: on CPUs none has measured faster."""
    return device.type == "cuda"


def step_seconds(
    module: Any,
    batch: Any,
    *,
    context: Callable[[], Any],
    warm_up: int = _WARM_UP,
    timed: int = _TIMED,
) -> float:
    """Return the median seconds of a forward and backward pass of ``module.batch_loss(batch)``.

    Buffers and random states are put back, also when it fails; gradients are not.
    """
    states = rng.capture()
    buffers = [(b, b.clone()) for b in module.network.buffers()]
    times = []
    try:
        for turn in range(warm_up + timed):
            wait_for(module.device)
            started = time.perf_counter()
            with context():
                loss = module.batch_loss(batch)
            loss.backward()
            wait_for(module.device)
            if turn >= warm_up:
                times.append(time.perf_counter() - started)
            module.network.zero_grad(set_to_none=True)
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        rng.restore(states)
    return statistics.median(times)


def _seconds(step: Callable[..., float]) -> float:
    """Time a way of computing; one that fails takes forever."""
    try:
        return step()
    except RuntimeError as error:
        _log.debug("not taken: %s", error)
    torch.cuda.empty_cache()
    return inf


def set_channels_last(module: nn.Module, last: bool) -> None:
    """Lay weights of 2D and 3D convolutions out with channels innermost, or as usual.

    The inputs need no change: a convolution follows its weights, and so does what comes after it.
    """
    for parameter in module.parameters():
        if parameter.ndim in (4, 5):
            parameter.data = parameter.data.contiguous(memory_format=_format(parameter, last))


def match_layout(optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Lay the optimisers' states out as their weights: a resumed one may come in another layout.

    A fused step walks through both side by side, whatever their strides.
    """
    for optimizer in optimizers:
        for parameter, state in optimizer.state.items():
            for name, value in state.items():
                alike = isinstance(value, Tensor) and value.shape == parameter.shape
                if alike and value.stride() != parameter.stride():
                    state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _format(parameter: Tensor, last: bool) -> torch.memory_format:
    if not last:
        return torch.contiguous_format
    return torch.channels_last if parameter.ndim == 4 else torch.channels_last_3d


def _one_batch(trainer: Any) -> Any:
    module = getattr(trainer, "datamodule", None)
    dataset = getattr(module, "train_set", None)
    if module is None or dataset is None:
        return None
    from medseg.data.feed.batch import collate

    size = getattr(module, "local_batch_size", module.batch_size)
    batch = collate([dataset[i] for i in range(size)])._replace(wide=None)
    guide = getattr(module, "guide", None)
    return batch if guide is None else guide(batch)
