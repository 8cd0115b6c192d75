"""What every training of a network shares, whatever is learnt."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from medseg.data.feed.batch import Batch
from medseg.labels import LabelScheme
from medseg.losses.all_ranks import over_all_ranks
from medseg.tasks.batches import as_batch
from medseg.training.averaging import averaged_copy
from medseg.training.finite import FiniteWatch
from medseg.training.schedule import Cosine, Schedule
from medseg.training.transfer.groups import decayed


class TrainingTask(pl.LightningModule):
    """Steps, averages weights, follows a schedule and writes checkpoints that can be rebuilt.

    A task adds what a batch's loss is (`batch_loss`) and how a validation is scored. It logs
    ``train/loss`` and ``lr``.

    Args:
        network: what is trained.
        labels: what there is to learn.
        optimizer: makes the optimiser from the parameters (with ``lr_decay`` from groups of them).
            Default: AdamW, 1e-3, weight decay 1e-2.
        schedule: learning-rate factor as a function of the elapsed fraction of the training.
        ema: decay of the averaged weights, which validation and prediction use; ``None``: raw
            weights.
        lr_decay: factor on the learning rate from stage to stage towards the input, see
            `medseg.training.transfer.parameter_groups`; 1: one rate for all.
        description: plain containers that go into checkpoints, so that the network and its
            preprocessing can be rebuilt (see `medseg.inference.checkpoint`).
    """

    kind: ClassVar[str]
    """What is learnt, as recipes and checkpoints call it."""

    score_name: ClassVar[str]
    """The logged score that tells how good a network is; below it, ``…/NAME``, that of a class."""

    averaged: nn.Module | None

    def __init__(
        self,
        network: nn.Module,
        labels: LabelScheme,
        *,
        optimizer: Callable[[Iterable[Any]], Optimizer] | None = None,
        schedule: Schedule | None = None,
        ema: float | None = 0.999,
        lr_decay: float = 1.0,
        description: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.averaged = averaged_copy(network, ema) if ema is not None else None
        self.labels = labels
        self.make_optimizer = optimizer or _adamw
        self.schedule = schedule or Cosine()
        self.lr_decay = lr_decay
        self.description = dict(description or {})
        self.progress: Callable[[], float] | None = None  # of the trainer's own limits, if None
        self._finite = FiniteWatch()

    @abstractmethod
    def batch_loss(self, batch: Batch) -> Tensor:
        """Return the loss of one batch; logs and checks nothing."""

    @property
    def used(self) -> nn.Module:
        """The network that validates and predicts: with averaged weights, if they are kept."""
        return self.network if self.averaged is None else self.averaged

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of one batch, which several processes may have a part of each."""
        batch = as_batch(batch)
        several = self._trainer is not None and self.trainer.world_size > 1
        with over_all_ranks(several):
            loss = self.batch_loss(batch)
        if several:
            # Their mean is that over patches, also where one of them has a patch more.
            loss = loss * getattr(self.trainer.datamodule, "share", 1.0)  # type: ignore[attr-defined]
        self._finite.watch(loss, cases=batch.case_ids, step=self.global_step)
        if self._logs():
            # A value for the bar is read back from the device at every step, shown or not.
            bar = self._trainer is not None and self.trainer.progress_bar_callback is not None
            size = len(batch.image)
            self.log("train/loss", loss, prog_bar=bar, batch_size=size, sync_dist=several)
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimiser of what is trained, and a schedule that follows the clock."""
        if self.lr_decay != 1.0:
            optimizer = decayed(self.make_optimizer, self.network, self.lr_decay)
        else:
            optimizer = self.make_optimizer(p for p in self.network.parameters() if p.requires_grad)
        scheduler = LambdaLR(
            optimizer, lambda _: self.schedule((self.progress or self._trainer_progress)())
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then let the averaged weights follow."""
        super().optimizer_step(*args, **kwargs)
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)  # type: ignore[operator]

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Log the learning rate that this step uses: of several the head's."""
        if self._logs():
            self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"], batch_size=1)

    def on_validation_start(self) -> None:
        """Learn of a loss that is not finite before whole volumes are predicted."""
        self._finite.settle()

    def on_train_end(self) -> None:
        """Learn of a loss that is not finite in the last steps."""
        self._finite.settle()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what rebuilding needs; plain containers only.

        Raises:
            InputError: a loss was not finite; such weights must not replace the last good ones.
        """
        self._finite.settle()
        checkpoint["medseg"] = {
            "schema": 1,
            "task": self.kind,
            "labels": self.labels.to_dict(),
            "precision": "auto" if self._trainer is None else str(self.trainer.precision),
            **self.description,
        }

    def _logs(self) -> bool:
        """Say whether this step's values are wanted: what nobody reads need not be logged."""
        if self._trainer is None:
            return True
        # Lightning counts from 1; the first value is for whoever waits for one.
        every = max(1, getattr(self.trainer, "log_every_n_steps", 1))
        return self.global_step == 0 or (self.global_step + 1) % every == 0

    def _trainer_progress(self) -> float:
        """Measure progress by the trainer's own limits, for use without a training clock."""
        # Before the first step the optimisers are made, and nobody knows the training's end yet.
        if self._trainer is None or self.global_step == 0:
            return 0.0
        total = self.trainer.estimated_stepping_batches
        if total in (0, float("inf")):
            rank_zero_warn(
                "the trainer has no end (max_steps or max_epochs), so the learning rate stays as "
                "it is after the warm-up; give one, or schedule=Constant()"
            )
            return _AFTER_WARM_UP
        return min(1.0, self.global_step / total)


# Where the schedule of a training without an end stands: past every usual warm-up.
_AFTER_WARM_UP = 0.1


def _adamw(parameters: Iterable[Any]) -> Optimizer:
    return torch.optim.AdamW(parameters, lr=1e-3, weight_decay=1e-2)
