"""Training to a limit of seconds or steps: how far it is, when to validate, when to stop."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch

from medseg.training.budget import LARGEST_SHARE, refuse_too_short
from medseg.training.every import Every
from medseg.training.schedule import Continued, present_factor
from medseg.training.validation_time import ValidationTime, of_trainer
from medseg.training.waiting import wait_for

NEVER = 10**15  # a batch count that no training reaches
_TIMING_AGAIN = 0.9  # part of the training after which cases are timed once more
# A GPU is a few steps behind what it was given; so many are waited for when the end is near.
_LAST_STEPS = 10


class TrainingClock(pl.Callback):
    """Ends a training at its limit and says when validation is due.

    Exactly one limit is given. Under a ``budget`` everything that happens between the first step
    and the end of the last validation counts; the last step is taken early enough for that
    validation to fit. What a resumed run had used before counts as used. A training that is
    resumed with another limit is extended: its schedule goes on without a jump (see `Continued`).

    Args:
        budget: wall-clock limit in seconds.
        steps: limit in optimiser steps.
        validate: how often to validate. ``None`` chooses: ten times under a step limit; under a
            budget at every fifth of it, as long as validation takes less than a tenth of the time.
            The training always ends with a validation. Under a budget one that would leave less
            time than it takes itself is left out.
        now: the clock, in seconds; tests pass their own.

    Raises:
        InputError: when the training starts: one validation takes more than half of the budget.
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
        self.validation = ValidationTime()
        self._before = 0.0  # seconds used by earlier runs of this training
        self._started: float | None = None
        self._trainer: pl.Trainer | None = None
        self._ended = False
        self._step = 0
        self._lead: float | None = None  # seconds until the first step was done
        self._leg = 0.0  # where the time began that is being spent: 0, or the extension's start
        self._joint: tuple[float, float] | None = None  # fraction and factor where it was extended
        self._extended = False
        self._validated_at = (0, 0.0)  # step and elapsed seconds of the last validation's end
        self._validation_started: float | None = None
        self._validation_ended = 0.0
        self._case_started = 0.0
        self._step_ended: float | None = None  # a session's first step says nothing of the others
        self._step_seconds: deque[float] = deque(maxlen=9)
        self._timed_again = False
        # What a validation after this step found, if there was one: a checkpoint is written before
        # its validation, and does not know of it.
        self.validation_found: Callable[[int], Mapping[str, float]] = lambda step: {}

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, earlier runs included."""
        return self._before + (0.0 if self._started is None else self.now() - self._started)

    @property
    def limit(self) -> float:
        """The budget in seconds, or the number of steps."""
        return float(self.budget if self.budget is not None else self.steps or 0)

    def fraction(self) -> float:
        """Give the elapsed fraction of the training in [0, 1]; schedules follow it.

        Under a budget it is counted from the end of the first step, which may take a minute where
        a network is compiled, so that a warm-up is not over before it begins.
        """
        if self._ended:
            return 1.0
        if self.steps is not None:
            # The schedule asks right after a step, before `on_train_batch_end` has counted it.
            taken = 0 if self._trainer is None else self._trainer.global_step
            return min(1.0, max(taken, self._step) / self.steps)
        if self._lead is None:
            return 0.0
        usable = self._usable()
        lead = min(self._lead, usable / 2)
        return min(1.0, max(0.0, (self.elapsed - lead) / (usable - lead)))

    def _usable(self) -> float:
        """Return the seconds after which the last validation must begin."""
        assert self.budget is not None
        return self.budget - min(
            self.validation.expected, LARGEST_SHARE * (self.budget - self._leg)
        )

    def finished(self) -> bool:
        """Say whether the limit has been reached; under a budget, to the nearest step."""
        return self._ends_within(0.5)

    def _ends_within(self, steps: float) -> bool:
        if self.steps is not None or self._ended:
            return self.fraction() >= 1.0
        step = statistics.median(self._step_seconds) if self._step_seconds else 0.0
        return self.elapsed + steps * step >= self._usable()

    def validation_due(self) -> bool:
        """Say whether to validate now, after an optimiser step."""
        if self.finished():
            return True
        step, seconds = self._validated_at
        elapsed, expected = self.elapsed, self.validation.expected
        if self.budget is not None and self._usable() - elapsed < 2 * expected:
            return False
        if self.validate is not None:
            return self.validate.due(self._step - step, elapsed - seconds)
        assert self.budget is not None
        affordable = self.validation.total + expected <= 0.1 * (elapsed - self._leg)
        # A first step that compiles for a minute gives nothing to look at.
        since = max(seconds, self._lead or 0.0)
        return affordable and elapsed - since >= (self.budget - self._leg) / 5

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start counting, and give the module its measure of progress."""
        self._trainer, self._started = trainer, self.now()
        self._step = trainer.global_step
        self._catch_up(trainer)
        if self._extended:
            self._begin_extension(trainer)
        if hasattr(pl_module, "progress"):
            pl_module.progress = self.fraction  # type: ignore[assignment]
        trainer.val_check_batch = NEVER
        if self.budget is not None and not self.validation.measured:
            self._time_validation(trainer, pl_module)
        if self._step == 0 or self._extended:
            self._refuse_too_short(trainer)
        if self._extended:
            self._joint = (self.fraction(), present_factor(trainer.optimizers))
        if self._joint is not None and hasattr(pl_module, "schedule"):
            start, factor = self._joint
            pl_module.schedule = Continued(pl_module.schedule, start=start, factor=factor)  # type: ignore[arg-type,assignment]
        self._extended = False
        self._step_ended = None
        if self.finished():
            self._end(trainer)

    def _catch_up(self, trainer: pl.Trainer) -> None:
        """Learn of a validation that came after the checkpoint had been written."""
        found = self.validation_found(self._step)
        if not found or self._validated_at[0] == self._step:
            return
        ended = max(self._before, found["seconds"])
        self.validation.finished(ended - self._before)
        self._before = ended
        self._validated_at = (self._step, ended)
        for stop in trainer.early_stopping_callbacks:
            if stop.monitor in found:
                enough, _ = stop._evaluate_stopping_criteria(torch.tensor(found[stop.monitor]))
                trainer.should_stop |= enough and not self._extended

    def _begin_extension(self, trainer: pl.Trainer) -> None:
        self._leg, self._timed_again = self._before, False
        self.validation.total = 0.0
        for stop in trainer.early_stopping_callbacks:
            stop.wait_count = 0  # type: ignore[attr-defined]

    def _time_validation(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Time some cases, so that the first validation is no surprise to the budget."""
        assert self.budget is not None
        self.validation.estimate = of_trainer(
            trainer, pl_module, left=self.budget - self._leg, now=self.now
        )

    def _refuse_too_short(self, trainer: pl.Trainer) -> None:
        cases = _validated_cases(trainer)
        if self.budget is not None and cases:
            refuse_too_short(self.budget - self._leg, self.validation.expected, cases=cases)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        """Ask Lightning for a validation, or for the end, where due."""
        stepped = trainer.global_step != self._step
        self._step = trainer.global_step
        if stepped:
            if self._ends_within(_LAST_STEPS):
                wait_for(pl_module.device)
            self._note_step(trainer, pl_module)
        due = stepped and self.validation_due()
        # Lightning validates after batch n where n % val_check_batch == 0.
        trainer.val_check_batch = 1 if due else NEVER
        if not due:
            return
        wait_for(pl_module.device)  # what is still to be computed belongs to the steps
        # What is written before the validation belongs to it: it must fit into the budget, too.
        self._validation_started = self.now()
        if self.finished():
            self._end(trainer)
        if not _validated_cases(trainer):
            self.validated()  # nothing to validate on: on_validation_end will not come

    def _note_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        now = self.now()
        if self._lead is None:
            self._lead = self.elapsed
        elif self._step_ended is not None:
            self._step_seconds.append(now - self._step_ended)
        untimed = self.budget is not None and not self.validation.measured
        if untimed and not self._timed_again and self.fraction() > _TIMING_AGAIN:
            # The device is warm now, and nothing but this guess says when to stop.
            self._timed_again = True
            self._time_validation(trainer, pl_module)
        self._step_ended = self.now()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note when validation starts."""
        if self._validation_started is None:
            self._validation_started = self.now()
        self.validation.begin()

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        """Note when a case starts."""
        self._case_started = self.now()

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        """Note when a case ends."""
        self.validation.case(self.now() - self._case_started)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Learn how long validation takes."""
        if trainer.sanity_checking or self._validation_started is None:
            return
        self._validation_ended = self.now()
        self.validation.finished(self._validation_ended - self._validation_started)
        self._validation_started = None
        self.validated()
        if self.finished():  # a slow validation may have used up what was left
            self._end(trainer)

    def settled(self) -> None:
        """Count to a validation what other callbacks did after it: curves, ``best.ckpt``."""
        self.validation.further(self.now() - self._validation_ended)
        self._validation_ended = self.now()
        self.validated()

    def validated(self) -> None:
        """Count the next interval from here."""
        self._validated_at = (self._step, self.elapsed)
        if self._step_ended is not None:
            self._step_ended = self.now()

    def _end(self, trainer: pl.Trainer) -> None:
        self._ended = trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must know."""
        return {
            "limit": self.limit,
            "elapsed": self.elapsed,
            "step": self._step,
            "ended": self._ended,
            "lead": self._lead,
            "leg": self._leg,
            "joint": None if self._joint is None else list(self._joint),
            "validated_at": list(self._validated_at),
            "validation": self.validation.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where an earlier run stopped; its limit may have been another one."""
        self._before = state["elapsed"]
        self._step = state["step"]
        self._validated_at = tuple(state["validated_at"])
        # A checkpoint of an older version knows less.
        self._extended = self.limit != state.get("limit", self.limit)
        self._ended = state.get("ended", False) and not self._extended
        self._lead = state.get("lead", 0.0)
        self._leg = state.get("leg", 0.0)
        joint = state.get("joint")
        self._joint = None if joint is None else tuple(joint)
        if "validation" in state:
            self.validation.load_state_dict(state["validation"])


def _validated_cases(trainer: pl.Trainer) -> int:
    # A loader without cases counts as a loader: the list of their lengths is then not empty.
    return int(sum(trainer.num_val_batches))
