"""Training to a limit of seconds or steps: when to validate, and when to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch

from medseg.training.budget import refuse_too_short
from medseg.training.common_time import CommonTime
from medseg.training.course import Course
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
    Several processes go by the time of the first one (see `CommonTime`).

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
        self.now = CommonTime(now)
        self.course = Course(budget=budget, steps=steps, now=self.now)
        self.validate = validate or (Every(steps=-(-steps // 10)) if steps is not None else None)
        self._joint: tuple[float, float] | None = None  # fraction and factor where it was extended
        self._validated_at = (0, 0.0)  # step and elapsed seconds of the last validation's end
        self._validation_started: float | None = None
        self._validation_ended = 0.0
        self._case_started = 0.0
        self._timed_again = False
        # What a validation after this step found, if there was one: a checkpoint is written before
        # its validation, and does not know of it.
        self.validation_found: Callable[[int], Mapping[str, float]] = lambda step: {}

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, earlier runs included."""
        return self.course.elapsed

    @property
    def limit(self) -> float:
        """The budget in seconds, or the number of steps."""
        return self.course.limit

    @property
    def budget(self) -> float | None:
        """The limit in seconds, if it is one of time."""
        return self.course.budget

    @property
    def steps(self) -> int | None:
        """The limit in steps, if it is one of steps."""
        return self.course.steps

    @property
    def validation(self) -> ValidationTime:
        """What validations took, and what the next one will take."""
        return self.course.validation

    def fraction(self) -> float:
        """Give the elapsed fraction of the training in [0, 1]; schedules follow it."""
        return self.course.fraction()

    def finished(self) -> bool:
        """Say whether the limit has been reached; under a budget, to the nearest step."""
        return self.course.finished()

    def validation_due(self) -> bool:
        """Say whether to validate now, after an optimiser step."""
        course = self.course
        if course.finished():
            return True
        step, seconds = self._validated_at
        elapsed, expected = course.elapsed, self.validation.expected
        if course.budget is not None and course.usable - elapsed < 2 * expected:
            return False
        if self.validate is not None:
            return self.validate.due(course.step - step, elapsed - seconds)
        affordable = self.validation.total + expected <= 0.1 * course.spent
        # A first step that compiles for a minute gives nothing to look at.
        since = max(seconds, course.lead or 0.0)
        return affordable and elapsed - since >= course.allowance / 5

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start counting, and give the module its measure of progress."""
        self.now.meet()
        course = self.course
        course.start(lambda: trainer.global_step)
        self._catch_up(trainer)
        if course.extended:
            self._begin_extension(trainer)
        if hasattr(pl_module, "progress"):
            pl_module.progress = self.fraction  # type: ignore[assignment]
        trainer.val_check_batch = NEVER
        if course.budget is not None and not self.validation.measured:
            self._time_validation(trainer, pl_module)
        cases = _validated_cases(trainer)
        if course.budget is not None and cases and (course.step == 0 or course.extended):
            refuse_too_short(course.allowance, self.validation.expected, cases=cases)
        if course.extended:
            self._joint = (self.fraction(), present_factor(trainer.optimizers))
        if self._joint is not None and hasattr(pl_module, "schedule"):
            start, factor = self._joint
            pl_module.schedule = Continued(pl_module.schedule, start=start, factor=factor)  # type: ignore[arg-type,assignment]
        course.extended = False
        if course.finished():
            self._end(trainer)

    def _catch_up(self, trainer: pl.Trainer) -> None:
        """Learn of a validation that came after the checkpoint had been written."""
        course = self.course
        found = self.validation_found(course.step)
        if not found or self._validated_at[0] == course.step:
            return
        before = course.elapsed
        ended = max(before, found["seconds"])
        self.validation.finished(ended - before)
        course.set_elapsed(ended)
        self._validated_at = (course.step, ended)
        for stop in trainer.early_stopping_callbacks:
            if stop.monitor in found:
                enough, _ = stop._evaluate_stopping_criteria(torch.tensor(found[stop.monitor]))
                trainer.should_stop |= enough and not course.extended

    def _begin_extension(self, trainer: pl.Trainer) -> None:
        self.course.begin_extension()
        self._timed_again = False
        for stop in trainer.early_stopping_callbacks:
            stop.wait_count = 0  # type: ignore[attr-defined]

    def _time_validation(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Time some cases, so that the first validation is no surprise to the budget."""
        self.validation.estimate = of_trainer(
            trainer, pl_module, left=self.course.allowance, now=self.now.own
        )
        self.now.meet()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        """Ask Lightning for a validation, or for the end, where due."""
        stepped = trainer.global_step != self.course.step
        self.course.step = trainer.global_step
        if stepped:
            if self.course.ends_within(_LAST_STEPS):
                wait_for(pl_module.device)
            self.now.meet()
            self.course.step_done()
            self._time_again(trainer, pl_module)
        due = stepped and self.validation_due()
        # Lightning validates after batch n where n % val_check_batch == 0.
        trainer.val_check_batch = 1 if due else NEVER
        if not due:
            return
        wait_for(pl_module.device)  # what is still to be computed belongs to the steps
        self.now.meet()
        # What is written before the validation belongs to it: it must fit into the budget, too.
        self._validation_started = self.now()
        if self.finished():
            self._end(trainer)
        if not _validated_cases(trainer):
            self.validated()  # nothing to validate on: on_validation_end will not come

    def _time_again(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Time some cases near the end, where nothing but the first guess says when to stop."""
        untimed = self.budget is not None and not self.validation.measured
        if untimed and not self._timed_again and self.fraction() > _TIMING_AGAIN:
            self._timed_again = True  # the device is warm now
            self._time_validation(trainer, pl_module)
            self.course.not_a_step()

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
        self.now.meet()
        self._validation_ended = self.now()
        self.validation.finished(self._validation_ended - self._validation_started)
        self._validation_started = None
        self.validated()
        if self.finished():  # a slow validation may have used up what was left
            self._end(trainer)

    def settled(self) -> None:
        """Count to a validation what other callbacks did after it: curves, ``best.ckpt``."""
        self.now.meet()
        self.validation.further(self.now() - self._validation_ended)
        self._validation_ended = self.now()
        self.validated()

    def validated(self) -> None:
        """Count the next interval from here."""
        self._validated_at = (self.course.step, self.elapsed)
        self.course.not_a_step()

    def _end(self, trainer: pl.Trainer) -> None:
        self.course.ended = trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must know."""
        return {
            **self.course.state_dict(),
            "joint": None if self._joint is None else list(self._joint),
            "validated_at": list(self._validated_at),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where an earlier run stopped; its limit may have been another one."""
        self.course.load_state_dict(state)
        self._validated_at = tuple(state["validated_at"])
        joint = state.get("joint")
        self._joint = None if joint is None else tuple(joint)


def _validated_cases(trainer: pl.Trainer) -> int:
    # A loader without cases counts as a loader: the list of their lengths is then not empty.
    return int(sum(trainer.num_val_batches))
