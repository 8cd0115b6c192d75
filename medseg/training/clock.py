"""Training to a limit of seconds or steps: how far it is, when to validate, when to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl

from medseg.data.feed.batch import Batch

NEVER = 10**15  # a batch count that no training reaches


@dataclass(frozen=True)
class Every:
    """An interval in optimiser steps or in seconds; with neither it never comes round."""

    steps: int | None = None
    seconds: float | None = None

    def due(self, steps: int, seconds: float) -> bool:
        """Say whether the interval has passed, given what went by since the last time."""
        by_steps = self.steps is not None and steps >= self.steps
        return by_steps or (self.seconds is not None and seconds >= self.seconds)


class TrainingClock(pl.Callback):
    """Ends a training at its limit and says when validation is due.

    Exactly one limit is given. Under a ``budget`` everything that happens between the first step
    and the end of the last validation counts; the last step is taken early enough for that
    validation to fit. What a resumed run had used before counts as used.

    Args:
        budget: wall-clock limit in seconds.
        steps: limit in optimiser steps.
        validate: how often to validate. ``None`` chooses: ten times under a step limit; under a
            budget at every fifth of it, as long as validation takes less than a tenth of the time.
            The training always ends with a validation.
        now: the clock, in seconds; tests pass their own.
    """

    def __init__(
        self,
        *,
        budget: float | None = None,
        steps: int | None = None,
        validate: Every | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if (budget is None) == (steps is None):
            raise ValueError("give a budget in seconds or a number of steps, not both or neither")
        if (budget if budget is not None else steps) <= 0:  # type: ignore[operator]
            raise ValueError("a training's limit must be above zero")
        self.budget, self.steps, self.now = budget, steps, now
        self.validate = validate or (Every(steps=-(-steps // 10)) if steps is not None else None)
        self._before = 0.0  # seconds used by earlier runs of this training
        self._started: float | None = None
        self._step = 0
        self._validated_at = (0, 0.0)  # step and elapsed seconds of the last validation's end
        self._validation_started = 0.0
        self.validation_seconds = 0.0  # of the slowest validation so far, or an estimate
        self._measured = 0.0
        self._validation_total = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, earlier runs included."""
        return self._before + (0.0 if self._started is None else self.now() - self._started)

    def fraction(self) -> float:
        """Give the elapsed fraction of the training in [0, 1]; schedules follow it."""
        if self.steps is not None:
            return min(1.0, self._step / self.steps)
        assert self.budget is not None
        # The last validation needs its share; never reserve more than half for it, so that a
        # hopelessly short budget still trains.
        usable = self.budget - min(self.validation_seconds, self.budget / 2)
        return min(1.0, self.elapsed / usable)

    def finished(self) -> bool:
        """Say whether the limit has been reached."""
        return self.fraction() >= 1.0

    def validation_due(self) -> bool:
        """Say whether to validate now, after an optimiser step."""
        if self.finished():
            return True
        step, seconds = self._validated_at
        if self.validate is not None:
            return self.validate.due(self._step - step, self.elapsed - seconds)
        assert self.budget is not None
        affordable = self._validation_total + self.validation_seconds <= 0.1 * self.elapsed
        return affordable and self.elapsed - seconds >= self.budget / 5

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start counting, and give the module its measure of progress."""
        self._started = self.now()
        self._step = trainer.global_step
        if hasattr(pl_module, "progress"):
            pl_module.progress = self.fraction  # type: ignore[assignment]
        trainer.val_check_batch = NEVER
        if self.budget is not None and not self.validation_seconds:
            self.validation_seconds = self._estimate_validation(trainer, pl_module)
        if self.finished():
            trainer.should_stop = True

    def _estimate_validation(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> float:
        """Time one case, so that the first validation is no surprise to the budget."""
        loader, predict = trainer.val_dataloaders, getattr(pl_module, "predict_logits", None)
        if predict is None or not loader or not trainer.num_val_batches:
            return 0.0
        batch = next(iter(loader), None)
        if not isinstance(batch, Batch):
            return 0.0
        started = self.now()
        predict(batch.image.to(pl_module.device))
        pl_module.train()
        return (self.now() - started) * float(sum(trainer.num_val_batches))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        """Ask Lightning for a validation, or for the end, where due."""
        stepped = trainer.global_step != self._step
        self._step = trainer.global_step
        due = stepped and self.validation_due()
        # Lightning validates after batch n where n % val_check_batch == 0.
        trainer.val_check_batch = 1 if due else NEVER
        if due and self.finished():
            trainer.should_stop = True
        if due and not trainer.num_val_batches:
            self.validated()  # nothing to validate on: on_validation_end will not come

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note when validation starts."""
        self._validation_started = self.now()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Learn how long validation takes."""
        if trainer.sanity_checking:
            return
        took = self.now() - self._validation_started
        # The estimate of one cold case gives way to what was measured.
        self.validation_seconds = max(self._measured, took)
        self._measured = self.validation_seconds
        self._validation_total += took
        self.validated()
        if self.finished():  # a slow validation may have used up what was left
            trainer.should_stop = True

    def validated(self) -> None:
        """Count the next interval from here."""
        self._validated_at = (self._step, self.elapsed)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must know."""
        return {
            "elapsed": self.elapsed,
            "step": self._step,
            "validated_at": list(self._validated_at),
            "validation_seconds": self.validation_seconds,
            "validation_total": self._validation_total,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where an earlier run stopped."""
        self._before = state["elapsed"]
        self._step = state["step"]
        self._validated_at = tuple(state["validated_at"])
        self.validation_seconds = state["validation_seconds"]
        self._validation_total = state["validation_total"]
