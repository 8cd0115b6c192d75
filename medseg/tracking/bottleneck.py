"""Name the bottleneck of a training: which phase takes the time, and which setting changes it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import pytorch_lightning as pl
from torch import nn

from medseg.atomic import write_text
from medseg.tracking.advice import advise
from medseg.tracking.facts import facts_of
from medseg.tracking.phases import BACKWARD, LOSS, START, matters, shares_of
from medseg.tracking.profiler_tap import ProfilerTap
from medseg.tracking.shares_table import shares_line, shares_table
from medseg.tracking.step_watch import StepWatch
from medseg.tracking.stopwatch import CudaStopwatch, HostStopwatch

_log = logging.getLogger(__name__)
_LOSS_NAMES = ("loss", "criterion", "loss_fn", "loss_function", "loss_func")

Hook = TypeVar("Hook", bound=Callable[..., Any])


def _harmless(hook: Hook) -> Hook:
    """Make a fault of the measurement end the measurement, not the training."""

    @wraps(hook)
    def guarded(self: BottleneckCallback, *args: Any, **kwargs: Any) -> Any:
        try:
            return hook(self, *args, **kwargs)
        except Exception as error:
            self._give_up(error)

    return guarded  # type: ignore[return-value]


class BottleneckCallback(pl.Callback):
    """Measures which share of a training each phase takes, and says which setting to change.

    Works alone in any ``Trainer``, with any LightningModule and data. The phases are those of
    `medseg.tracking.phases.PHASES`; they cover everything between the first and the last step.
    Lightning's own profiler hooks tell them apart: batches are augmented in
    ``on_after_batch_transfer``; the loss is the time spent in a module ``loss`` (or ``criterion``,
    ``loss_fn``) of the LightningModule, without one it counts as forward. On CUDA events in the
    GPU's stream are read later, so no step waits for the measurement; elsewhere the host's clock
    is.

    Every ``log_every_n_steps`` steps it logs the shares of the steps since, as ``time/loader``,
    ``time/forward`` and so on. At the end it prints a table of the whole training (resumed ones
    included) and one sentence of advice, and gives both to loggers that keep a summary.

    Args:
        folder: where ``time.json`` is written at the end; ``None``: nowhere.
        loss: attribute of the LightningModule that is its loss; default: the usual names.
        elapsed: returns the seconds that count as gone when the training starts; what of them was
            not measured counts to the phase ``start``.
        limit: the setting that says how long to train; advice names it.
        quiet: print nothing.

    Attributes:
        steps: training steps (batches) measured.
        validations: measured.
        advice: the sentence; empty before the end.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        loss: str | None = None,
        elapsed: Callable[[], float] = float,
        limit: str = "trainer.budget",
        quiet: bool = False,
    ) -> None:
        self.folder = Path(folder) if folder is not None else None
        self.loss, self.elapsed, self.limit, self.quiet = loss, elapsed, limit, quiet
        self.steps = self.validations = 0
        self.advice = ""
        self._before: dict[str, float] = {}  # of earlier sessions of this training
        self._logged: dict[str, float] = {}  # what had gone by when it was last logged
        self._logged_at = 0
        self._watch: StepWatch | None = None
        self._first = False
        self._undo: list[Callable[[], None]] = []

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by phase, earlier sessions of a resumed training included."""
        now = self._watch.seconds if self._watch is not None else {}
        return {
            name: self._before.get(name, 0.0) + now.get(name, 0.0)
            for name in {**self._before, **now}
        }

    @property
    def shares(self) -> dict[str, float]:
        """Fraction of the time by phase; they sum to 1."""
        return shares_of(self.seconds)

    def line(self) -> str:
        """Return the shares in one line, for a progress display."""
        return shares_line(self.seconds)

    @_harmless
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to measure."""
        self._release()
        self._logged, self._logged_at = {}, trainer.global_step
        self.advice, self._first = "", True
        on_cuda = trainer.strategy.root_device.type == "cuda"
        self._watch = StepWatch((CudaStopwatch if on_cuda else HostStopwatch)("other"))
        self._watch.seconds[START] = max(0.0, self.elapsed() - sum(self._before.values()))
        seat: Any = trainer  # Lightning does not declare the attribute
        own = seat.profiler
        seat.profiler = ProfilerTap(own, self._begin, self._end, heed=matters)
        self._undo.append(lambda: setattr(seat, "profiler", own))
        loss = _loss_of(pl_module, self.loss)
        if loss is not None:
            before = loss.register_forward_pre_hook(lambda *_: self._begin("loss", LOSS))
            after = loss.register_forward_hook(lambda *_: self._end("loss"), always_call=True)
            self._undo += [before.remove, after.remove]

    @_harmless
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        """Count the step."""
        if self._watch is None:
            return
        self.steps += 1
        self._watch.step_done()
        if self._first:
            self._watch.set_up()
            self._first = False

    @_harmless
    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        """Log, where due: into the row of the step before, which is out by now."""
        every = max(1, getattr(trainer, "log_every_n_steps", 1))
        if trainer.global_step % every == 0:
            self._log(trainer)

    @_harmless
    def on_before_backward(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Any
    ) -> None:
        """Begin the backward pass; with manual optimisation no action tells of it."""
        self._begin("manual backward", BACKWARD)

    @_harmless
    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End the backward pass."""
        self._end("manual backward")

    @_harmless
    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the validation."""
        if self._watch is not None:
            self._watch.begin_validation()

    @_harmless
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End the validation."""
        if self._watch is not None:
            self._watch.end_validation()
            self.validations += 1

    @_harmless
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Sum up, and leave the sum where loggers and files keep it."""
        if self._watch is None:
            return
        self._watch.settle()
        self._log(trainer)
        self._finish()
        if not self.steps:
            return
        facts = replace(
            facts_of(trainer, pl_module), validations=self.validations, limit=self.limit
        )
        self.advice = advise(self.shares, facts)
        if not trainer.is_global_zero:
            return
        for logger in trainer.loggers:
            if hasattr(logger, "log_summary"):
                shares = {f"time/{name}": share for name, share in self.shares.items()}
                logger.log_summary({**shares, "time/advice": self.advice})
        if self.folder is not None:
            write_text(self.folder / "time.json", json.dumps(self.report(), indent=1))

    def report(self) -> dict[str, Any]:
        """Return what ``time.json`` holds: steps, seconds and shares by phase, and the advice."""
        seconds = self.seconds
        return {
            "steps": self.steps,
            "seconds": round(sum(seconds.values()), 3),
            "phases": {
                name: {"seconds": round(seconds.get(name, 0.0), 3), "share": round(share, 4)}
                for name, share in self.shares.items()
            },
            "advice": self.advice,
        }

    @_harmless
    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Print table and advice, when progress bars are out of the way."""
        self._release()
        if stage != "fit" or not self.advice or self.quiet or not trainer.is_global_zero:
            return
        from rich.console import Console

        console = Console(stderr=True, highlight=False)
        console.print(shares_table(self.seconds, steps=self.steps))
        console.print(self.advice, markup=False, soft_wrap=True)

    @_harmless
    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Give the trainer its profiler back."""
        self._release()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training adds to."""
        return {"seconds": self.seconds, "steps": self.steps, "validations": self.validations}

    @_harmless
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the times of an earlier session."""
        self._before = {str(name): float(took) for name, took in state["seconds"].items()}
        self.steps = int(state["steps"])
        self.validations = int(state.get("validations", 0))  # an older version did not count them

    @_harmless
    def _begin(self, action: str, phase: str | None = None) -> None:
        if self._watch is not None:
            self._watch.begin(action, phase)

    @_harmless
    def _end(self, action: str) -> None:
        if self._watch is not None:
            self._watch.end(action)

    def _log(self, trainer: pl.Trainer) -> None:
        """Send the shares of the time since the last call to the loggers."""
        if self._watch is None or trainer.global_step == self._logged_at:
            return
        seconds = dict(self._watch.seconds)
        since = {name: took - self._logged.get(name, 0.0) for name, took in seconds.items()}
        if sum(since.values()) <= 0:
            return
        self._logged, self._logged_at = seconds, trainer.global_step
        # Not through `pl_module.log`: ten values there cost 0.5 ms in every step.
        shares = {f"time/{name}": share for name, share in shares_of(since).items()}
        step = trainer.fit_loop.epoch_loop._batches_that_stepped - 1
        for logger in trainer.loggers:
            logger.log_metrics(shares, step=max(step, 0))

    def _finish(self) -> None:
        """Stop measuring; the times stay."""
        self._before = self.seconds
        self._watch = None
        self._release()

    def _release(self) -> None:
        while self._undo:
            self._undo.pop()()

    def _give_up(self, error: Exception) -> None:
        self._watch = None
        self._release()
        _log.warning("the time of the steps is not measured: %s: %s", type(error).__name__, error)


def _loss_of(pl_module: pl.LightningModule, name: str | None) -> nn.Module | None:
    for candidate in (name,) if name is not None else _LOSS_NAMES:
        found = getattr(pl_module, candidate, None)
        # Hooks on a module that is compiled in place would be compiled with it.
        if isinstance(found, nn.Module) and found._compiled_call_impl is None:
            return found
    return None
