"""Measure how fast a training goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl


class ThroughputCallback(pl.Callback):
    """Logs ``throughput``: patches per second, loader included, validations and stops excluded.

    Each logged value covers the steps since the one before.

    Args:
        now: the clock, in seconds; tests pass their own.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self._since: float | None = None
        self._patches = 0
        self._seconds = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._since = self.now()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock."""
        self._since = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on."""
        self._since = self.now()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count the batch."""
        now = self.now()
        if self._since is not None:
            self._seconds += now - self._since
            self._patches += batch_length(batch)
        self._since = now
        every = max(1, getattr(trainer, "log_every_n_steps", 1))
        if self._seconds > 0 and trainer.global_step % every == 0:
            # With several processes this one may have a patch more than others.
            share = getattr(getattr(trainer, "datamodule", None), "share", 1.0)
            value = self._patches * trainer.world_size / share / self._seconds
            pl_module.log("throughput", value, batch_size=1)
            self._patches, self._seconds = 0, 0.0


def batch_length(batch: Any) -> int:
    """Return how many samples a batch holds, whatever container it is."""
    if isinstance(batch, dict):
        batch = batch.get("image", next(iter(batch.values())))
    elif hasattr(batch, "image"):
        batch = batch.image
    elif isinstance(batch, tuple | list) and batch:
        batch = batch[0]
    return len(batch)
