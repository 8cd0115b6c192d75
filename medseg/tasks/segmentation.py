"""Segmentation as a LightningModule, usable with or without a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from medseg.data.feed.batch import Batch
from medseg.inference.decode import decode
from medseg.inference.memory import within_memory
from medseg.inference.window import SlidingWindow
from medseg.labels import IGNORED, LabelScheme
from medseg.losses import DeepSupervisionLoss, DiceCELoss, RegionLoss, region_masks
from medseg.losses.ignoring import require_ignoring
from medseg.metrics.volume_dice import dice_per_output
from medseg.networks.input_context import context_of, with_context, without_context
from medseg.networks.outputs import as_heads, finest
from medseg.score_names import SCORE_NAMES
from medseg.tasks.batches import as_batch
from medseg.tasks.training_task import TrainingTask
from medseg.training.compiling import uncompiled
from medseg.training.schedule import Schedule


class SegmentationTask(TrainingTask):
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

    kind = "segmentation"
    score_name = SCORE_NAMES["segmentation"]

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
        super().__init__(
            network,
            labels,
            optimizer=optimizer,
            schedule=schedule,
            ema=ema,
            lr_decay=lr_decay,
            description=description,
        )
        loss = loss or (RegionLoss() if labels.regions else DiceCELoss())
        if labels.ignore is not None:
            require_ignoring(loss)
        self.loss = DeepSupervisionLoss(loss)
        self.window = window
        self._dice: list[Tensor] = []

    def forward(self, image: Tensor) -> Tensor:
        """Return logits ``(B, K, *S)`` of the averaged weights (of the raw ones while training)."""
        network = self.network if self.training or self.averaged is None else self.averaged
        return finest(network(image), spatial_dims=image.ndim - 2)

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
        network, window = self.used, self.window
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

    def _target(self, label: Tensor) -> Tensor:
        """Turn indices ``(B, 1, *S)`` into the loss's target."""
        if not self.labels.regions:
            return label
        return region_masks(label, self.labels.region_indices())
