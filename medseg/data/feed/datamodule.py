"""The Lightning data module around patches and whole volumes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader

from medseg import ranks
from medseg.data.feed.augment.compose import Compose
from medseg.data.feed.augment.defaults import default
from medseg.data.feed.augment.transform import (
    BatchTransform,
    IntensityTransform,
    LoaderTransform,
    split,
)
from medseg.data.feed.batch import Batch, collate, to_device
from medseg.data.feed.boxes import visible_boxes
from medseg.data.feed.calibration import FeedPlan, plan_feed
from medseg.data.feed.cases import FeedCase
from medseg.data.feed.dataset import PatchDataset, VolumeDataset
from medseg.data.feed.guide import GuideChannels
from medseg.data.feed.loader import FeedLoader, PatchBatches
from medseg.data.feed.residence import Residence, choose_residence, settle, size_of
from medseg.data.feed.sampler import CaseSampler, StepSampler, part_of
from medseg.machine import within_cores


class SegmentationDataModule(pl.LightningDataModule):
    """Patches for training, whole volumes for validation, for any LightningModule.

    Every batch is a `Batch`: ``training_step`` gets image ``(B, C, *S)`` float32 and label
    ``(B, 1, *S)`` uint8 indices, augmented on the training device; ``validation_step`` gets one
    whole preprocessed volume, unchanged, as a batch of one. ``batch.case_ids`` names the cases.

    What a training step draws follows from ``seed`` and the number of the step, wherever the cases
    live and whatever the number of workers; `settle` chooses both for the machine at hand. After
    ``trainer.fit(…, ckpt_path=…)`` the loader goes on at the step where the checkpoint was written,
    also in the middle of an epoch. Several processes share out the patches of each step, and the
    validation cases: together they see what one process would see.

    Args:
        train: labelled cases to cut patches from.
        val: cases to validate on; may be empty.
        patch_size: voxels per axis.
        context: voxels per axis on each side of a patch that the network reads, too: batches of
            training are larger by them, image and label alike. ``None``: none.
        batch_size: patches per step, of all processes together.
        steps_per_epoch: length of an epoch; ``None``: one pass over the training cases.
        seed: of cases, positions and augmentation.
        augmentation: transforms of either kind; those of the loader run first. ``default``:
            `medseg.data.feed.augment.default`; ``None``: none.
        loader_transforms: further per-sample transforms, before those of ``augmentation``.
        num_workers: loader processes, no more than there are cores; ``None`` chooses, by trying
            where no rule says.
        cache: where the cases live: ``ram``, ``disk`` (read when a patch is cut), ``device`` (the
            training device); ``auto``: the fastest that they fit into.
        foreground_fraction: the part of each batch that must hold foreground.
        spacing: mm per axis, for the default augmentation.
        masked: channels whose zeros lie outside the body; augmentation keeps them zero.
        guide_classes: foreground classes of the cases' guides, each of which becomes a channel
            behind the image's; cases without a guide need none.
        guide_augmentation: transforms of these channels, of which
            `medseg.data.feed.guide.cascade_augmentation` gives nnU-Net's.
        min_visible: of cases with boxes: the part of an object's box that must lie in a patch for
            it to be found there, see `medseg.data.feed.boxes.visible_boxes`.
    """

    def __init__(
        self,
        train: Sequence[FeedCase],
        val: Sequence[FeedCase] = (),
        *,
        patch_size: Sequence[int],
        context: Sequence[int] | None = None,
        batch_size: int,
        steps_per_epoch: int | None = None,
        seed: int = 0,
        augmentation: Sequence[BatchTransform | LoaderTransform] | Literal["default"] | None = (
            "default"
        ),
        loader_transforms: Sequence[LoaderTransform] = (),
        num_workers: int | None = None,
        cache: Literal["auto", "ram", "disk", "device"] = "auto",
        foreground_fraction: float = 1 / 3,
        spacing: Sequence[float] | None = None,
        masked: Sequence[int] = (),
        guide_classes: int = 0,
        guide_augmentation: Sequence[IntensityTransform] = (),
        min_visible: float = 0.5,
    ) -> None:
        super().__init__()
        if augmentation == "default":
            augmentation = default(patch_size, spacing=spacing)
        on_samples, on_batches = split([*loader_transforms, *(augmentation or ())])  # type: ignore[misc]
        self.augment = Compose(on_batches, masked=masked)
        self.train_set = PatchDataset(
            train,
            patch_size=patch_size,
            context=context,
            batch_size=batch_size,
            foreground_fraction=foreground_fraction,
            seed=seed,
            transforms=on_samples,
            margin=getattr(self.augment, "margin", None),
        )
        self.guide = GuideChannels(guide_classes, guide_augmentation)
        self.val_set = VolumeDataset(val, guide_classes=guide_classes)
        self.min_visible = float(min_visible)
        self.batch_size = int(batch_size)
        self.steps_per_epoch = steps_per_epoch
        self.num_workers = None if num_workers is None else int(num_workers)
        self.cache: Literal["auto", "ram", "disk", "device"] = cache
        self.feed_plan: FeedPlan | None = None
        self._given = list(train), list(val)
        self._resume_at: int | None = None

    def settle(
        self, device: torch.device, *, step_seconds: float | None = None, step_bytes: int = 0
    ) -> FeedPlan:
        """Bring the cases to where they shall live, and choose workers, pinning and prefetch.

        Lightning's ``setup`` does it; a call before that tells what is chosen. It takes as long as
        reading the cases, and at most about two seconds for trying numbers of workers.

        Args:
            device: where the training runs.
            step_seconds: what a training step takes without its feed, if known.
            step_bytes: what it takes of the device's memory, if known.

        Raises:
            InputError: the cases do not fit on the device that they are to live on.
        """
        if self.feed_plan is not None:
            return self.feed_plan
        train, val = self._given
        # Several processes do what the first one finds right: each holds cases of its own.
        chosen = ranks.from_first(
            lambda: choose_residence(
                self.cache,
                size=size_of(train) + size_of(val),
                device=device,
                on_samples=bool(self.train_set.transforms),
                reserved=step_bytes,
                processes=ranks.local_size(),
            )
        )
        residence = Residence(*chosen)
        self.train_set.cases = settle(train, residence, device=device)
        self.val_set.cases = settle(val, residence, device=device)
        found = ranks.from_first(
            lambda: asdict(
                plan_feed(
                    self.train_set,
                    residence,
                    device=device,
                    workers=self.num_workers,
                    step_seconds=step_seconds,
                    processes=ranks.local_size(),
                )
            )
        )
        self.feed_plan = FeedPlan(**found)
        return self.feed_plan

    @property
    def local_batch_size(self) -> int:
        """Patches per step of this process."""
        rank, world_size = self._ranks()
        return len(part_of(self.batch_size, rank=rank, world_size=world_size))

    @property
    def share(self) -> float:
        """What this process's mean over patches counts in the mean over processes; 1 if evenly."""
        return self.local_batch_size * self._ranks()[1] / self.batch_size

    def setup(self, stage: str) -> None:
        """Settle, if nobody has."""
        if stage == "fit" and self.trainer is not None:
            self.settle(self.trainer.strategy.root_device)

    def teardown(self, stage: str) -> None:
        """Free the device of the cases."""
        if stage == "fit":
            self.train_set.cases, self.val_set.cases = map(list, self._given)
            self.feed_plan = None

    def resume_step(self, step: int) -> None:
        """Make the next training loader begin at this step.

        Not needed with ``ckpt_path``. A step counts batches of one process: with accumulated
        gradients it is not Lightning's ``global_step``.
        """
        self._resume_at = int(step)

    def train_dataloader(self) -> DataLoader:
        """Make the loader of patches; its length is ``steps_per_epoch``."""
        plan = self._plan()
        loader = FeedLoader(
            PatchBatches(self.train_set, pin=plan.pin_memory and not plan.workers),
            batch_size=self.local_batch_size,
            sampler=self._sampler(),
            num_workers=plan.workers,
            persistent_workers=plan.workers > 0,
            **self._common(plan),
        )
        loader.ahead = plan.prefetch > 0
        return loader

    def val_dataloader(self) -> DataLoader:
        """Make the loader of whole volumes, one at a time."""
        rank, world_size = self._ranks()
        sampler = None
        if world_size > 1 and len(self.val_set):
            sampler = CaseSampler(len(self.val_set), rank=rank, world_size=world_size)
        # One reader keeps up with a sliding window, and each more holds another whole volume.
        plan = self._plan()
        workers = min(plan.workers, 1)
        return FeedLoader(
            self.val_set,
            batch_size=1,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            **self._common(plan),
        )

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Move image, label and regions; the seeds stay."""
        if not isinstance(batch, Batch):
            return super().transfer_batch_to_device(batch, device, dataloader_idx)
        return to_device(batch, device)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment training batches on the device, and make channels of their guides."""
        training = self.trainer is not None and self.trainer.training
        if not training or not isinstance(batch, Batch):
            return batch
        batch = self.guide(self.augment(batch), training=True)
        if batch.boxes is None:
            return batch
        shape = batch.image.shape[2:]
        seen = [visible_boxes(boxes, shape, least=self.min_visible) for boxes in batch.boxes]
        return batch._replace(boxes=seen)

    def _plan(self) -> FeedPlan:
        if self.feed_plan is not None:
            return self.feed_plan
        # A loader asked for outside of a training, where no device is known.
        workers, _ = within_cores(self.num_workers or 0)
        return FeedPlan("ram", workers, torch.cuda.is_available(), 0, "outside of a training")

    def _common(self, plan: FeedPlan) -> dict[str, Any]:
        # A loader draws a seed whenever it is iterated; from the global generator, that would shift
        # what the network draws after a resume.
        return {
            "collate_fn": collate,
            "pin_memory": plan.pin_memory,
            "generator": torch.Generator(),
        }

    def _sampler(self) -> StepSampler:
        rank, world_size = self._ranks()
        steps = self.steps_per_epoch
        if steps is None:
            steps = math.ceil(len(self.train_set) / self.batch_size)
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
