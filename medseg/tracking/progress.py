"""How far a training is, on the terminal or in a log file."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl

from medseg.score_names import SCORE_NAMES

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

_REDRAW_SECONDS = 0.2
_LINE_SECONDS = 30.0  # between lines where there is no terminal


class TrainingProgress(pl.Callback):
    """Shows a bar on a terminal; elsewhere prints one line after each validation.

    Switch Lightning's own bar off (``enable_progress_bar=False``): it counts batches of an epoch,
    this one the share of the budget, the steps or the epochs that is used up.

    Args:
        fraction: returns that share, 0 to 1 (`TrainingClock.fraction`).
        elapsed: returns the seconds that count as gone when the training starts.
        quiet: show nothing.
        console: of rich; default: the process's standard error.
        loss: logged name of the training loss.
        scores: prefix of the logged scores; default: as of `CurvesCallback`.
        note: returns a line to show with each update, such as `BottleneckCallback.line`.
    """

    def __init__(
        self,
        fraction: Callable[[], float],
        *,
        elapsed: Callable[[], float] = float,
        quiet: bool = False,
        console: Console | None = None,
        loss: str = "train/loss",
        scores: str | None = None,
        note: Callable[[], str] = str,
    ) -> None:
        self.fraction, self.elapsed = fraction, elapsed
        self.quiet, self.console = quiet, console
        self.loss, self.scores, self.note = loss, scores or SCORE_NAMES["segmentation"], note
        self._chosen = scores is not None
        self._bar: Progress | None = None
        self._training: TaskID | None = None
        self._validation: TaskID | None = None
        self._drawn = 0.0
        self._began = 0.0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Ask the task for its score, where none was named."""
        if not self._chosen:
            self.scores = getattr(pl_module, "score_name", self.scores)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose between bar and lines."""
        self._drawn = time.monotonic()
        self._began = self._drawn - self.elapsed()
        if self.quiet or not trainer.is_global_zero:
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.console = self.console or Console(stderr=True)
        if not self.console.is_terminal:
            return
        from medseg.tracking.noted_progress import NotedProgress

        self._bar = NotedProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=True,
            note=self.note,
        )
        self._training = self._bar.add_task("training", total=1.0, note="")
        self._bar.tasks[0].start_time = self._bar.get_time() - self.elapsed()
        self._bar.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        """Move the bar, a few times a second at most."""
        now = time.monotonic()
        if self._bar is None or self._training is None:
            if self.console is not None and now - self._drawn >= _LINE_SECONDS:
                self._print(trainer, classes=False)
            return
        if now - self._drawn < _REDRAW_SECONDS:
            return
        self._drawn = now
        self._bar.update(
            self._training,
            completed=self.fraction(),
            note=f"step {trainer.global_step}  {self._metrics(trainer, classes=False)}",
        )

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add a bar for the validation."""
        if self._bar is not None and not trainer.sanity_checking:
            batches = trainer.num_val_batches
            total = sum(batches) if isinstance(batches, list) else batches
            self._validation = self._bar.add_task("validating", total=total, note="")

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        """Move the bar of the validation."""
        if self._bar is not None and self._validation is not None:
            self._bar.advance(self._validation)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print what the validation found."""
        if self._bar is not None and self._validation is not None:
            self._bar.remove_task(self._validation)
            self._validation = None
        fitting = trainer.state.fn == "fit" and not trainer.sanity_checking
        if self.quiet or not fitting or not trainer.is_global_zero or self.console is None:
            return
        self._print(trainer, classes=True)

    def _print(self, trainer: pl.Trainer, *, classes: bool) -> None:
        self._drawn = time.monotonic()
        line = (
            f"{self.fraction():4.0%}  {clock(self._drawn - self._began)}  "
            f"step {trainer.global_step}  {self._metrics(trainer, classes=classes)}"
        )
        assert self.console is not None
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)
        if self._bar is None and classes and (note := self.note()):
            self.console.print(f"      {note}", highlight=False, soft_wrap=True, markup=False)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._training = self._validation = None

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Take the bar away, so that the message below it can be read."""
        self.teardown(trainer, pl_module, "fit")

    def _metrics(self, trainer: pl.Trainer, *, classes: bool) -> str:
        metrics = trainer.callback_metrics
        parts = [f"loss {metrics[self.loss]:.3f}"] if self.loss in metrics else []
        if self.scores in metrics:
            parts.append(f"{self.scores.rpartition('/')[2]} {metrics[self.scores]:.3f}")
        prefix = f"{self.scores}/"
        each = [
            f"{k.removeprefix(prefix)} {v:.3f}" for k, v in metrics.items() if k.startswith(prefix)
        ]
        if classes and 1 < len(each) <= 8:
            parts.append(f"({', '.join(each)})")
        return "  ".join(parts)


def clock(seconds: float) -> str:
    """Write seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
