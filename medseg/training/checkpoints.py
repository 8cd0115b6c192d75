"""Which checkpoints a training leaves behind, and how it stops at Ctrl-C."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch

from medseg import ranks
from medseg.atomic import write_text
from medseg.errors import InputError, Interrupted
from medseg.training import rng
from medseg.training.clock import TrainingClock
from medseg.training.every import Every


class Checkpoints(pl.callbacks.Checkpoint):
    """Keeps ``last.ckpt`` for resuming and ``best.ckpt`` by a validation metric.

    ``last.ckpt`` is only ever written right after an optimiser step, before a validation that is
    due: from there, and only there, a resumed run repeats the uninterrupted one bit for bit. What
    the validations found stands in ``validations.json`` beside the folder. Of several processes the
    first one reads and writes files, and the others hear from it what is in them.

    Args:
        folder: where the checkpoints go.
        clock: the training's clock.
        every: how often to write ``last.ckpt`` between validations.
        monitor: the metric that chooses ``best.ckpt``; larger is better. Without a validation set,
            ``best.ckpt`` is the last one.
    """

    def __init__(
        self,
        folder: Path,
        clock: TrainingClock,
        *,
        every: Every | None = None,
        monitor: str = "val/dice",
    ) -> None:
        self.folder, self.clock, self.monitor = Path(folder), clock, monitor
        self.every = every or Every(seconds=300)
        self._saved_at = (0, 0.0)
        self._step = 0
        self._rng: dict[str, torch.Tensor] | None = None
        clock.validation_found = self._validation_found

    @property
    def last(self) -> Path:
        """Path of the checkpoint to resume from."""
        return self.folder / "last.ckpt"

    @property
    def best(self) -> Path:
        """Path of the checkpoint to predict with."""
        return self.folder / "best.ckpt"

    @property
    def _history_file(self) -> Path:
        return self.folder.parent / "validations.json"

    def history(self) -> list[dict[str, Any]]:
        """Return what each validation found: step, seconds and the metrics."""
        if not self._history_file.is_file():
            return []
        try:
            entries = json.loads(self._history_file.read_text(encoding="utf-8"))
            return [{**entry, "step": entry["step"]} for entry in entries]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(
                "the record of this training's validations cannot be read",
                file=self._history_file,
                found=str(error),
                remedy="delete it, and go on from last.ckpt without it; or start over with "
                "--overwrite",
            ) from error

    def _validation_found(self, step: int) -> dict[str, float]:
        # Without a checkpoint to go on from, the file is of an earlier training.
        entries = ranks.from_first(self.history) if self._rng is not None else []
        return next((entry for entry in entries if entry["step"] == step), {})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the generators, and make up for a validation that was cut off."""
        step = self._step = trainer.global_step
        self._saved_at = (step, self.clock.elapsed)
        kept = [e for e in ranks.from_first(self.history) if e["step"] <= step]
        self._write_history(trainer, kept)
        if self._rng is None:
            rng.set_apart(ranks.number())
            return
        rng.restore(self._rng)
        rng.set_apart(ranks.number())
        known = step in [entry["step"] for entry in kept]
        if not known and self.clock.validation_due() and trainer.enable_validation:
            trainer.validating = True
            trainer.fit_loop.epoch_loop.val_loop.run()
            trainer.training = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        """Write ``last.ckpt`` where due."""
        step, seconds = trainer.global_step, self.clock.elapsed
        if step == self._step:  # gradients are still being accumulated
            return
        self._step = step
        due = self.every.due(step - self._saved_at[0], seconds - self._saved_at[1])
        validate = trainer.val_check_batch == 1
        # Validation draws random numbers (its loader does); training must not notice.
        self._rng = rng.capture() if validate else None
        if due or validate or trainer.should_stop:
            self._save_last(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write ``best.ckpt`` if this validation is the best so far."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        history, there = ranks.from_first(lambda: [self.history(), self.best.exists()])
        scores = [entry.get(self.monitor) for entry in history]
        known = [score for score in scores if score is not None and score == score]
        score = metrics.get(self.monitor, float("nan"))
        if not there or not known or score >= max(known):
            trainer.save_checkpoint(self.best, weights_only=False)
        entry = {"step": trainer.global_step, "seconds": round(self.clock.elapsed, 3), **metrics}
        self._write_history(trainer, [*history, entry])
        self.clock.settled()
        if self._rng is not None:
            rng.restore(self._rng)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Without a validation set the last weights are the best there are."""
        if trainer.global_step != self._saved_at[0]:
            self._save_last(trainer)
        if not ranks.from_first(self.history):
            trainer.save_checkpoint(self.best, weights_only=False)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the states of the random generators into the checkpoint."""
        checkpoint["rng"] = rng.capture()

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the states until the first step, since setting up draws random numbers too."""
        self._rng = checkpoint.get("rng")

    def _save_last(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.last, weights_only=False)
        self._saved_at = (trainer.global_step, self.clock.elapsed)

    def _write_history(self, trainer: pl.Trainer, entries: list[dict[str, Any]]) -> None:
        if not trainer.is_global_zero:
            return
        write_text(self._history_file, json.dumps(entries, indent=1))


_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_GO_ON = "`medseg run`, or `medseg fit --resume`, goes on from last.ckpt"


class StopAtSignal(pl.Callback):
    """Turns Ctrl-C and SIGTERM into a stop at the next safe point.

    In training that is the end of the step, after `Checkpoints` has written ``last.ckpt``; in a
    validation it is the end of the case: ``last.ckpt`` was written before the validation began. A
    second Ctrl-C stops at once and leaves the last checkpoint on disk as it was. Several processes
    stop together if one of them is asked to, in a validation at its end.

    Raises:
        Interrupted: from the hook that reached the safe point.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self._asked: str | None = None
        self._step = 0
        self._previous: dict[int, Any] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Take over the signals; only the main thread may."""
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._previous[number] = signal.signal(number, self._ask)
        # Lightning asks before every step, over the GPUs, whether one has come: each step would
        # then wait for the one before. `any_of` asks over the CPU.
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give the signals back."""
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count steps from here."""
        self._step = trainer.global_step
        # Meanwhile Lightning has put a handler of its own before ours. With several processes that
        # one broadcasts from within the signal, whatever the others are sending at that moment.
        for number in self._previous:
            signal.signal(number, self._ask)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Give the signals back."""
        self.teardown(trainer, pl_module, "fit")

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = signal.Signals(number).name
        print("\nstopping at the next safe point (once more: at once)", file=sys.stderr, flush=True)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        """Save and stop, if asked to; not while gradients are still being accumulated."""
        stepped, self._step = trainer.global_step != self._step, trainer.global_step
        if stepped and ranks.any_of(self._asked is not None):
            self.checkpoints._save_last(trainer)
            raise Interrupted(f"stopped by {self._by} after step {trainer.global_step}; {_GO_ON}")

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        """Stop between two cases, if asked to and alone: others may have more cases or fewer."""
        if self._asked and ranks.world_size() == 1:
            raise Interrupted(f"stopped by {self._by} during a validation; {_GO_ON}")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop together."""
        if ranks.world_size() > 1 and ranks.any_of(self._asked is not None):
            raise Interrupted(f"stopped by {self._by} during a validation; {_GO_ON}")

    @property
    def _by(self) -> str:
        return self._asked or "a signal to another process"


def _nothing() -> None:
    """Ask nobody."""
