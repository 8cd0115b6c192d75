"""The Lightning data module around patches and whole volumes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, DistributedSampler

from medseg.data.feed.augment.defaults import default
from medseg.data.feed.augment.transform import BatchTransform, Compose, LoaderTransform, split
from medseg.data.feed.batch import Batch, collate
from medseg.data.feed.cases import FeedCase
from medseg.data.feed.dataset import PatchDataset, VolumeDataset
from medseg.data.feed.sampler import StepSampler


class SegmentationDataModule(pl.LightningDataModule):
    """Patches for training, whole volumes for validation, for any LightningModule.

    Every batch is a `Batch`: ``training_step`` gets image ``(B, C, *S)`` float32 and label
    ``(B, 1, *S)`` uint8 indices, augmented on the training device; ``validation_step`` gets one
    whole preprocessed volume, unchanged, as a batch of one. ``batch.case_ids`` names the cases.

    What a training step draws follows from ``seed`` and the number of the step, whatever the
    number of workers. After ``trainer.fit(…, ckpt_path=…)`` the loader goes on at the step where
    the checkpoint was written, also in the middle of an epoch. With several processes each draws
    items of its own; validation cases are shared out (a few twice, if they do not divide evenly:
    gather them by case id).

    Args:
        train: labelled cases to cut patches from.
        val: cases to validate on; may be empty.
        patch_size: voxels per axis.
        batch_size: patches per step and process.
        steps_per_epoch: length of an epoch; ``None``: one pass over the training cases.
        seed: of cases, positions and augmentation.
        augmentation: transforms of either kind; those of the loader run first. ``default``:
            `medseg.data.feed.augment.default`; ``None``: none.
        loader_transforms: further per-sample transforms, before those of ``augmentation``.
        num_workers: loader processes; 0 suits cases in memory or in a warm page cache.
        foreground_fraction: the part of each batch that must hold foreground.
        spacing: mm per axis, for the default augmentation.
    """

    def __init__(
        self,
        train: Sequence[FeedCase],
        val: Sequence[FeedCase] = (),
        *,
        patch_size: Sequence[int],
        batch_size: int,
        steps_per_epoch: int | None = None,
        seed: int = 0,
        augmentation: Sequence[BatchTransform | LoaderTransform] | Literal["default"] | None = (
            "default"
        ),
        loader_transforms: Sequence[LoaderTransform] = (),
        num_workers: int = 0,
        foreground_fraction: float = 1 / 3,
        spacing: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if augmentation == "default":
            augmentation = default(patch_size, spacing=spacing)
        on_samples, on_batches = split([*loader_transforms, *(augmentation or ())])  # type: ignore[misc]
        self.train_set = PatchDataset(
            train,
            patch_size=patch_size,
            batch_size=batch_size,
            foreground_fraction=foreground_fraction,
            seed=seed,
            transforms=on_samples,
        )
        self.val_set = VolumeDataset(val)
        self.augment = Compose(on_batches)
        self.batch_size = int(batch_size)
        self.steps_per_epoch = steps_per_epoch
        self.num_workers = int(num_workers)
        self._resume_at: int | None = None

    def resume_step(self, step: int) -> None:
        """Make the next training loader begin at this step.

        Not needed with ``ckpt_path``. A step counts batches of one process: with accumulated
        gradients it is not Lightning's ``global_step``.
        """
        self._resume_at = int(step)

    def train_dataloader(self) -> DataLoader:
        """Make the loader of patches; its length is ``steps_per_epoch``."""
        return DataLoader(
            self.train_set,
            batch_size=self.batch_size,
            sampler=self._sampler(),
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            **self._common(),
        )

    def val_dataloader(self) -> DataLoader:
        """Make the loader of whole volumes, one at a time."""
        rank, world_size = self._ranks()
        sampler: DistributedSampler | None = None
        if world_size > 1 and len(self.val_set):
            sampler = DistributedSampler(
                self.val_set, num_replicas=world_size, rank=rank, shuffle=False
            )
        # One reader keeps up with a sliding window, and each more holds another whole volume.
        workers = min(self.num_workers, 1)
        return DataLoader(
            self.val_set,
            batch_size=1,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            **self._common(),
        )

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Move image and label; the seeds stay, reading them back would stall a GPU."""
        if not isinstance(batch, Batch):
            return super().transfer_batch_to_device(batch, device, dataloader_idx)
        label = batch.label
        return batch._replace(
            image=batch.image.to(device, non_blocking=True),
            label=None if label is None else label.to(device, non_blocking=True),
        )

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment training batches on the device."""
        training = self.trainer is not None and self.trainer.training
        return self.augment(batch) if training and isinstance(batch, Batch) else batch

    def _common(self) -> dict[str, Any]:
        device = None if self.trainer is None else self.trainer.strategy.root_device
        pin = torch.cuda.is_available() if device is None else device.type == "cuda"
        # A loader draws a seed whenever it is iterated; from the global generator, that would shift
        # what the network draws after a resume.
        return {"collate_fn": collate, "pin_memory": pin, "generator": torch.Generator()}

    def _sampler(self) -> StepSampler:
        rank, world_size = self._ranks()
        steps = self.steps_per_epoch
        if steps is None:
            steps = math.ceil(len(self.train_set) / (self.batch_size * world_size))
        sampler = StepSampler(
            batch_size=self.batch_size, steps_per_epoch=steps, rank=rank, world_size=world_size
        )
        trainer, wanted = self.trainer, self._resume_at
        self._resume_at = None
        if trainer is None or trainer.state.status != "running":
            sampler.seek(wanted or 0)
            return sampler
        done = _steps_done(trainer, steps)
        shift = 0 if wanted is None else wanted - done
        # Lightning's count of epochs is no guide: resumed at the end of one, it may run an empty
        # epoch first. Its count of batches is.
        sampler.position = lambda: _steps_done(trainer, steps) + shift
        if (done + shift) % steps:
            # Lightning cannot see that this loader begins where the checkpoint left it.
            warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that end")
        return sampler

    def _ranks(self) -> tuple[int, int]:
        if self.trainer is not None:
            return self.trainer.global_rank, self.trainer.world_size
        if dist.is_available() and dist.is_initialized():
            return dist.get_rank(), dist.get_world_size()
        return 0, 1


def _steps_done(trainer: pl.Trainer, steps: int) -> int:
    """Count the batches that the trainer has behind it, as the sampler counts them."""
    total: Any = trainer.fit_loop.epoch_loop.batch_progress.total
    limit = trainer.limit_train_batches
    used = min(limit, steps) if isinstance(limit, int) else int(steps * limit)
    # `processed` rises with the optimiser's step: a batch that was interrupted is drawn again.
    epoch, within = divmod(total.processed, max(used, 1))
    return epoch * steps + within
