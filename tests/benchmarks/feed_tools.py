"""Augmented patches a second of one tool; `feed.py` runs this in the tool's own interpreter.

All read the same volumes, already in memory, and give batches of two patches of one size, on one
process. The set of transforms is nnU-Net's default, with its probabilities and ranges; each tool
applies it in the way that is fastest among those it documents:

- medseg: its data module with the default augmentation, from the sampler to the augmented batch.
- nnU-Net: its own loader and its trainer's own transforms, no deep supervision, over arrays in
  memory instead of its compressed files.
- MONAI: ``CacheDataset`` with everything cached, foreground indices too, dictionary transforms
  without metadata. Rotation and scaling are one ``RandAffined``; what nnU-Net does to half of the
  channels is done to all of them half as often.
- TorchIO: ``Queue`` of patches in memory, transforms on the patches and not on whole volumes. It
  samples uniformly, which is its cheapest sampler; it has no inverted gamma (its gamma is applied
  as often instead), no brightness or contrast (two ``Lambda``), and lowers the resolution of one
  axis only.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

BATCH = 2
CASES = ("a", "b", "c", "d")
ANGLE = math.radians(30)


def medseg(folder: Path, size: int, device: str) -> Iterator[Any]:
    """Our data module, as a trainer uses it."""
    from medseg.data.feed import MemoryCase, SegmentationDataModule

    cases = [MemoryCase(c, *read(folder, c)) for c in CASES]
    data = SegmentationDataModule(
        cases, patch_size=(size,) * 3, batch_size=BATCH, steps_per_epoch=10**6
    )
    place = torch.device(device)
    data.settle(place)
    for batch in data.train_dataloader():
        moved = data.transfer_batch_to_device(batch, place, 0)
        yield data.augment(moved).image


def nnunet(folder: Path, size: int, device: str, processes: int = 1) -> Iterator[Any]:
    """Its default trainer's loader and transforms."""
    from batchgenerators.dataloading.nondet_multi_threaded_augmenter import (
        NonDetMultiThreadedAugmenter,
    )
    from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter
    from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
    from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    patch, turn = (size,) * 3, (-ANGLE, ANGLE)
    loader = nnUNetDataLoader(
        InMemory(folder),
        BATCH,
        get_patch_size(patch, turn, turn, turn, (0.85, 1.25)),
        patch,
        Labels(),
        oversample_foreground_percent=0.33,
        transforms=nnUNetTrainer.get_training_transforms(patch, turn, None, (0, 1, 2), False),
    )
    if processes == 1:
        batches = SingleThreadedAugmenter(loader, None)
    else:
        batches = NonDetMultiThreadedAugmenter(
            loader, None, processes, num_cached=max(6, processes // 2), pin_memory=device != "cpu"
        )
    for batch in batches:
        yield batch["data"].to(device, non_blocking=True)


class InMemory:
    """What nnU-Net's loader needs of a data set, without its files."""

    def __init__(self, folder: Path) -> None:
        self.identifiers = list(CASES)
        self.cases = {}
        for name in CASES:
            image, label = read(folder, name)
            # Its coordinates count a leading channel axis.
            where = {
                c: np.argwhere(label[None] == c)[:: max(1, int((label == c).sum()) // 10_000)]
                for c in (1, 2)
            }
            self.cases[name] = image, label[None].astype(np.int16), None, {"class_locations": where}

    def load_case(self, name: str) -> tuple:
        """Give image, label, no earlier stage's label, and properties."""
        return self.cases[name]


class Labels:
    """What nnU-Net's loader asks its label manager."""

    has_ignore_label = False

    def __init__(self) -> None:
        self.all_labels = [0, 1, 2]


def monai(folder: Path, size: int, device: str) -> Iterator[Any]:
    """The dictionary transforms behind a `CacheDataset`."""
    import monai.transforms as mt
    from monai.data import CacheDataset, DataLoader, set_track_meta

    set_track_meta(False)
    image, both = ["image"], ["image", "label"]
    transforms = mt.Compose(
        [
            mt.EnsureTyped(both, device=device, track_meta=False),
            mt.FgBgToIndicesd("label", image_key=None),
            mt.RandCropByPosNegLabeld(
                both,
                label_key="label",
                spatial_size=(size,) * 3,
                pos=1,
                neg=2,
                num_samples=1,
                fg_indices_key="label_fg_indices",
                bg_indices_key="label_bg_indices",
            ),
            mt.DeleteItemsd(["label_fg_indices", "label_bg_indices"]),
            mt.RandAffined(
                both,
                prob=0.36,
                rotate_range=(ANGLE,) * 3,
                scale_range=(-0.3, 0.4),
                mode=("bilinear", "nearest"),
                padding_mode="zeros",
                cache_grid=True,
                spatial_size=(size,) * 3,
                device=torch.device(device),
            ),
            mt.RandGaussianNoised(image, prob=0.1, std=0.1),
            mt.RandGaussianSmoothd(
                image, prob=0.1, sigma_x=(0.5, 1), sigma_y=(0.5, 1), sigma_z=(0.5, 1)
            ),
            mt.RandScaleIntensityd(image, factors=0.25, prob=0.15, channel_wise=True),
            mt.RandScaleIntensityFixedMeand(image, factors=0.25, prob=0.15, preserve_range=True),
            mt.RandSimulateLowResolutiond(image, prob=0.125, zoom_range=(0.5, 1.0)),
            mt.RandAdjustContrastd(
                image, prob=0.1, gamma=(0.7, 1.5), invert_image=True, retain_stats=True
            ),
            mt.RandAdjustContrastd(image, prob=0.3, gamma=(0.7, 1.5), retain_stats=True),
            *(mt.RandFlipd(both, prob=0.5, spatial_axis=axis) for axis in range(3)),
        ]
    )
    items = [
        {"image": img, "label": lab[None]} for img, lab in (read(folder, c) for c in CASES)
    ] * (BATCH * 8)
    data = CacheDataset(items, transforms, copy_cache=False, progress=False, num_workers=None)
    loader = DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=0)
    while True:
        for batch in loader:
            yield batch["image"]


def torchio(folder: Path, size: int, device: str) -> Iterator[Any]:
    """Transforms on the patches of a `Queue`."""
    import torchio as tio

    transforms = tio.Compose(
        [
            tio.RandomAffine(scales=(0.7, 1.4), degrees=30, isotropic=True, p=0.36),
            tio.RandomNoise(std=(0, 0.1), p=0.1),
            tio.RandomBlur(std=(0.5, 1), p=0.1),
            tio.Lambda(_brightness, types_to_apply=[tio.INTENSITY], p=0.15),
            tio.Lambda(_contrast, types_to_apply=[tio.INTENSITY], p=0.15),
            tio.RandomAnisotropy(downsampling=(1, 2), p=0.125),
            tio.RandomGamma(log_gamma=(math.log(0.7), math.log(1.5)), p=0.4),
            tio.RandomFlip(axes=(0, 1, 2), flip_probability=0.5),
        ]
    )
    subjects = []
    for name in CASES:
        image, label = read(folder, name)
        subjects.append(
            tio.Subject(
                image=tio.ScalarImage(tensor=torch.from_numpy(image)),
                label=tio.LabelMap(tensor=torch.from_numpy(label)[None]),
            )
        )
    queue = tio.Queue(
        tio.SubjectsDataset(subjects * 4),
        max_length=32,
        samples_per_volume=8,
        sampler=tio.UniformSampler(size),
        num_workers=0,
    )
    while True:
        # It gives the next patch, whatever the index.
        drawn = [transforms(queue[0]) for _ in range(BATCH)]
        yield torch.stack([patch["image"].data for patch in drawn]).to(device)


def _brightness(image: torch.Tensor) -> torch.Tensor:
    return image * random.uniform(0.75, 1.25)


def _contrast(image: torch.Tensor) -> torch.Tensor:
    mean = image.mean()
    spread = (image - mean) * random.uniform(0.75, 1.25) + mean
    return spread.clamp(image.min(), image.max())


def write(folder: Path, channels: int, shape: tuple[int, ...]) -> None:
    """Write the volumes: smooth noise, and two nested ellipsoids to segment."""
    rng = np.random.default_rng(0)
    places = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    for name in CASES:
        centre = rng.uniform(-0.4, 0.4, 3)
        distance = sum((p - c) ** 2 for p, c in zip(places, centre, strict=True))
        label = (distance < 0.12).astype(np.uint8) + (distance < 0.03)
        image = rng.normal(size=(channels, *shape)).astype(np.float32) + 2 * label
        np.save(folder / f"{name}_image.npy", image)
        np.save(folder / f"{name}_label.npy", label.astype(np.uint8))


def read(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read image ``(C, *S)`` and label ``(*S)`` into memory."""
    return np.load(folder / f"{name}_image.npy"), np.load(folder / f"{name}_label.npy")


def rate(batches: Iterator[Any], *, seconds: float, clock: Callable[[], float]) -> float:
    """Give patches a second of ``clock``, once everything is warm."""
    shape = None
    until = clock() + min(2.0, seconds)
    while shape is None or clock() < until:
        shape = next(batches).shape
    assert shape[0] == BATCH
    started, done = clock(), 0
    while clock() < started + seconds:
        last = next(batches)
        done += BATCH
    if last.is_cuda:
        torch.cuda.synchronize()
    return done / (clock() - started)


def cpu_seconds() -> float:
    """Count the processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure one tool and print its rate as JSON."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("tool", choices=["medseg", "nnunet", "monai", "torchio"])
    made.add_argument("--folder", type=Path, required=True)
    made.add_argument("--size", type=int, required=True)
    made.add_argument("--seconds", type=float, required=True)
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--device", default="cpu")
    made.add_argument("--clock", default="wall", choices=["wall", "cpu"])
    args = made.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    if args.tool == "nnunet":
        # It takes more cores as processes of one thread each.
        torch.set_num_threads(1)
        batches = nnunet(args.folder, args.size, args.device, args.threads)
    else:
        batches = {"medseg": medseg, "monai": monai, "torchio": torchio}[args.tool](
            args.folder, args.size, args.device
        )
    clock = time.perf_counter if args.clock == "wall" else cpu_seconds
    with torch.no_grad():
        found = rate(batches, seconds=args.seconds, clock=clock)
    print(json.dumps({"patches_per_second": found}), flush=True)
    # The peers' loaders may leave processes behind that would hold this one open.
    import os

    os._exit(0)


if __name__ == "__main__":
    main()
