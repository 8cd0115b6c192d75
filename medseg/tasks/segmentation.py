"""Segmentation as a LightningModule, usable with or without a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from medseg.data.feed.batch import Batch
from medseg.inference.decode import decode
from medseg.inference.memory import within_memory
from medseg.inference.window import SlidingWindow
from medseg.labels import IGNORED, LabelScheme
from medseg.losses import DeepSupervisionLoss, DiceCELoss, RegionLoss, region_masks
from medseg.losses.all_ranks import over_all_ranks
from medseg.losses.ignoring import require_ignoring
from medseg.metrics.volume_dice import dice_per_output
from medseg.networks.input_context import context_of, with_context, without_context
from medseg.networks.outputs import as_heads, finest
from medseg.tasks.batches import as_batch
from medseg.training.averaging import averaged_copy
from medseg.training.compiling import uncompiled
from medseg.training.finite import FiniteWatch
from medseg.training.schedule import Cosine, Schedule
from medseg.training.transfer.groups import decayed


class SegmentationTask(pl.LightningModule):
    """Trains a network to segment, and scores it on whole volumes.

    Batches are `medseg.data.feed.Batch`, ``(image, label)`` pairs or mappings with those two keys:
    image ``(B, C, *S)`` float, label ``(B, 1, *S)`` or ``(B, *S)`` of label indices.

    It logs ``train/loss``, ``lr``, ``val/dice`` (mean over what is scored) and ``val/dice/NAME``.
    Dice is computed per case on whole volumes and averaged over the cases where it is defined; a
    class that is neither in the reference nor in the prediction of a case does not count there.

    Args:
        network: maps ``(B, C, *S)`` to logits ``(B, labels.num_outputs, *S)``; in training it may
            return several, finest first (deep supervision). One that reads around what it segments
            (`medseg.networks.input_context`) trains on the middle of what batches hold.
        labels: what the outputs mean.
        loss: maps logits and target to a scalar. The target is the index tensor ``(B, 1, *S)``, or
            with regions their masks ``(B, R, *S)``. Where ``labels`` has an ignore label, a third
            argument ``valid`` says which voxels take part. Default: Dice + cross-entropy (regions:
            Dice + BCE).
        optimizer: makes the optimiser from the parameters (with ``lr_decay`` from groups of them).
            Default: AdamW, 1e-3, weight decay 1e-2.
        schedule: learning-rate factor as a function of the elapsed fraction of the training.
        window: predicts a whole volume, ``(network, image) -> logits``; default: one forward pass.
        ema: decay of the averaged weights, which validation and prediction use; ``None``: raw
            weights.
        lr_decay: factor on the learning rate from stage to stage towards the input, see
            `medseg.training.transfer.parameter_groups`; 1: one rate for all.
        description: plain containers that go into checkpoints, so that `Predictor.load` can rebuild
            the network and its preprocessing (see `medseg.inference.checkpoint`).

    Raises:
        InputError: there is an ignore label, and the loss cannot leave its voxels out.
    """

    averaged: nn.Module | None

    def __init__(
        self,
        network: nn.Module,
        labels: LabelScheme,
        *,
        loss: nn.Module | None = None,
        optimizer: Callable[[Iterable[Any]], Optimizer] | None = None,
        schedule: Schedule | None = None,
        window: Callable[[nn.Module, Tensor], Tensor] | None = None,
        ema: float | None = 0.999,
        lr_decay: float = 1.0,
        description: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.averaged = averaged_copy(network, ema) if ema is not None else None
        self.labels = labels
        loss = loss or (RegionLoss() if labels.regions else DiceCELoss())
        if labels.ignore is not None:
            require_ignoring(loss)
        self.loss = DeepSupervisionLoss(loss)
        self.make_optimizer = optimizer or _adamw
        self.schedule = schedule or Cosine()
        self.window = window
        self.lr_decay = lr_decay
        self.description = dict(description or {})
        self.progress: Callable[[], float] | None = None  # of the trainer's own limits, if None
        self._dice: list[Tensor] = []
        self._finite = FiniteWatch()

    def forward(self, image: Tensor) -> Tensor:
        """Return logits ``(B, K, *S)`` of the averaged weights (of the raw ones while training)."""
        network = self.network if self.training or self.averaged is None else self.averaged
        return finest(network(image), spatial_dims=image.ndim - 2)

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

    def batch_loss(self, batch: Batch) -> Tensor:
        """Return the loss of one batch; logs and checks nothing."""
        dims = batch.image.ndim - 2
        heads = as_heads(self.network(batch.image), spatial_dims=dims)
        context = context_of(self.network, spatial_dims=dims)
        label = without_context(batch.label, context)  # type: ignore[arg-type]
        valid = None if self.labels.ignore is None else label != IGNORED
        return self.loss(heads, self._target(label), valid)

    def score(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Predict whole volumes; return preds and target ``(B, *S)``, and Dice ``(B, scored)``."""
        preds = decode(self.predict_logits(batch.image), self.labels, axis=1)
        target = batch.label.reshape(preds.shape).to(preds.device)  # type: ignore[union-attr]
        return preds, target, dice_per_output(preds, target, self.labels)

    def validation_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Predict whole volumes; return images, preds, targets and case ids for overlays."""
        batch = as_batch(batch)
        preds, target, dice = self.score(batch)
        self._dice += list(dice.to(self.device))
        return {
            "image": batch.image,
            "preds": preds,
            "target": target,
            "case_ids": batch.case_ids,
        }

    def on_validation_epoch_end(self) -> None:
        """Average Dice over cases, then over what is scored."""
        dice = (
            torch.stack(self._dice) if self._dice else torch.empty(0, len(self.labels.foreground))
        )
        self._dice = []
        dice = dice.to(self.device)
        defined = ~dice.isnan()
        sums = torch.stack([dice.nan_to_num().sum(0), defined.sum(0).to(dice.dtype)])
        sums = torch.as_tensor(self.all_gather(sums)).reshape(-1, *sums.shape).sum(0)
        means = sums[0] / sums[1]
        for name, value in zip(self.labels.foreground, means, strict=True):
            self.log(f"val/dice/{name}", value)
        self.log("val/dice", means.nanmean(), prog_bar=True)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return label indices ``(B, *S)``."""
        return decode(self.predict_logits(as_batch(batch).image), self.labels, axis=1)

    @torch.no_grad()
    def predict_logits(self, image: Tensor) -> Tensor:
        """Return the logits of whole volumes ``(B, K, *S)``.

        Those that a `SlidingWindow` cannot gather in the device's memory lie on the CPU.
        """
        network, window = self.averaged or self.network, self.window
        network.eval()
        # Compiled for the patches of a training, a network would be compiled anew here.
        with uncompiled(network):
            if isinstance(window, SlidingWindow):
                return within_memory(
                    lambda chosen, gather_on: chosen(
                        network, image.to(gather_on), device=self.device
                    ),
                    window,
                    self.device,
                )
            if window is not None:
                return window(network, image)
            dims = image.ndim - 2
            image = with_context(image, context_of(network, spatial_dims=dims))
            return finest(network(image), spatial_dims=dims)

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
            "task": "segmentation",
            "labels": self.labels.to_dict(),
            "precision": "auto" if self._trainer is None else str(self.trainer.precision),
            **self.description,
        }

    def _target(self, label: Tensor) -> Tensor:
        """Turn indices ``(B, 1, *S)`` into the loss's target."""
        if not self.labels.regions:
            return label
        return region_masks(label, self.labels.region_indices())

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
