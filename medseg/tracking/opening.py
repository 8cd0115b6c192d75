"""Open the loggers of a training when it starts, not when it is prepared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl


class OpenLoggers(pl.Callback):
    """Gives a trainer its loggers when it begins to train.

    A training may be refused until then, for a budget that is too short; a W&B run that was opened
    before would be left behind, empty. Callbacks that come later find the loggers open.

    Args:
        opened: opens and returns them.
    """

    def __init__(self, opened: Callable[[], Sequence[Any]]) -> None:
        self.opened = opened

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open them."""
        trainer.loggers = list(self.opened())
