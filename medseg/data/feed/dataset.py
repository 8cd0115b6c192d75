"""Map-style data sets over preprocessed cases."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from medseg.data.feed.augment.transform import LoaderTransform
from medseg.data.feed.batch import Batch, Sample, Wide, collate
from medseg.data.feed.cases import FeedCase, boxes_of
from medseg.data.feed.cutting import Margin, Place, cut_batch, cut_sample
from medseg.data.feed.guide import with_guide
from medseg.data.feed.naming import naming
from medseg.data.feed.sampling import (
    box,
    forced_foreground,
    foreground_voxel,
    patch_start,
    sampled_object,
    start_around,
)
from medseg.data.feed.seeds import mix, streams
from medseg.errors import InputError


class PatchDataset(Dataset):
    """Random patches; item ``k`` is the same whenever and wherever it is asked for.

    Cases come in a new shuffled order on every pass over them, so each is seen equally often.
    Items never end: ``k`` may be any non-negative number. Draw them with `StepSampler`; a plain
    shuffling loader would ask for items ``0 … len - 1`` again in every epoch.

    Args:
        cases: labelled cases.
        patch_size: voxels per axis; a smaller image is padded with zeros.
        context: voxels per axis that are cut along on each side of the patch, zeros beyond the
            image, for a network that reads around what it segments; they take part in everything
            but the choice of the patch. ``None``: none.
        batch_size: items per step, for the rule of `forced_foreground`.
        foreground_fraction: the part of each batch that must hold foreground.
        seed: of cases, positions and augmentation.
        transforms: per-sample transforms, applied in order.
        margin: says of a sample how many voxels around its patch augmentation wants to see; those
            that lie inside the image travel as `Sample.wide`. ``None``: none.

    Raises:
        InputError: no cases, or one that cannot be used (said by name).
    """

    def __init__(
        self,
        cases: Sequence[FeedCase],
        *,
        patch_size: Sequence[int],
        context: Sequence[int] | None = None,
        batch_size: int,
        foreground_fraction: float = 1 / 3,
        seed: int = 0,
        transforms: Sequence[LoaderTransform] = (),
        margin: Margin | None = None,
    ) -> None:
        if not cases:
            raise InputError("there are no training cases")
        if not 0 <= foreground_fraction <= 1:
            raise InputError(
                "foreground_fraction is a part of the batch",
                expected="0 … 1",
                found=str(foreground_fraction),
            )
        self.cases = list(cases)
        self.patch_size = tuple(int(n) for n in patch_size)
        self.context = tuple(context or (0,) * len(self.patch_size))
        self.cut_size = tuple(
            n + 2 * around for n, around in zip(self.patch_size, self.context, strict=True)
        )
        self.batch_size = int(batch_size)
        self.foreground_fraction = float(foreground_fraction)
        self.seed = int(seed)
        self.transforms = list(transforms)
        self.margin = margin
        self._streams = streams([type(t).__name__ + t.name for t in self.transforms])

    def __len__(self) -> int:
        """Return the length of one pass: the number of cases."""
        return len(self.cases)

    def case_of(self, index: int) -> FeedCase:
        """Return the case that item ``index`` is cut from."""
        if index < 0:
            raise IndexError(f"item numbers are not negative: {index}")
        number, position = divmod(int(index), len(self.cases))
        return self.cases[_order(len(self.cases), self.seed, number)[position]]

    def __getitem__(self, index: int) -> Sample:
        """Cut and transform item ``index``.

        Raises:
            InputError: the case cannot be read.
            MedsegError: a transform failed. Both name the case and hold the original traceback.
        """
        case = self.case_of(index)
        with naming(case.id, "reading"):
            sample = cut_sample(self._place(index), self.cut_size, margin=self.margin)
        if not self.transforms:
            return sample
        wide = sample.wide
        if wide is not None:
            sample = sample._replace(image=wide.image, label=wide.label)
        for transform, stream in zip(self.transforms, self._streams, strict=True):
            with naming(case.id, f"transform {transform.name}"):
                sample = transform(sample, seed=mix(sample.seed, stream))
        return sample if wide is None else _patch_of(sample, wide.start, self.cut_size)

    def batch(self, indices: Sequence[int], *, pin: bool = False) -> Batch:
        """Give items as one batch: faster than stacking them, and the same to the last bit.

        Args:
            indices: of the items.
            pin: in page-locked memory, from where a GPU copies without waiting.

        Raises:
            InputError, MedsegError: as for a single item.
        """
        if self.transforms:
            return collate([self[index] for index in indices])
        places = []
        for index in indices:
            with naming(self.case_of(index).id, "reading"):
                places.append(self._place(index))
        return cut_batch(places, self.cut_size, margin=self.margin, pin=pin)

    def _place(self, index: int) -> Place:
        case, index = self.case_of(index), int(index)
        if case.label is None:
            raise InputError(f"training case {case.id!r} has no label")
        shape = tuple(case.label.shape)
        if len(shape) != len(self.patch_size):
            raise InputError(
                f"case {case.id!r} and the patch have different dimensions",
                expected=f"{len(self.patch_size)} axes, as the patch {self.patch_size}",
                found=f"shape {shape}",
            )
        rng = np.random.default_rng([mix(self.seed, 0), index])
        forced = forced_foreground(index, self.batch_size, self.foreground_fraction)
        start = self._start(case, shape, rng, forced=forced)
        start = tuple(first - around for first, around in zip(start, self.context, strict=True))
        return Place(case, start, int(rng.integers(2**63)))

    def _start(
        self, case: FeedCase, shape: tuple[int, ...], rng: np.random.Generator, *, forced: bool
    ) -> tuple[int, ...]:
        boxes = boxes_of(case) if forced else None
        if boxes is not None:
            chosen = sampled_object(boxes, rng)
            if chosen is not None:
                return start_around(shape, self.patch_size, chosen, rng)
            forced = False
        centre = foreground_voxel(case.locations, rng) if forced else None
        return patch_start(shape, self.patch_size, rng, centre=centre)


class VolumeDataset(Dataset):
    """Whole volumes, in the order given; for validation.

    Args:
        cases: the volumes.
        guide_classes: foreground classes of the cases' guides, which become channels of the image.
    """

    def __init__(self, cases: Sequence[FeedCase], *, guide_classes: int = 0) -> None:
        self.cases = list(cases)
        self.guide_classes = int(guide_classes)

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> Sample:
        """Read case ``index`` whole.

        Raises:
            InputError: the case cannot be read; names it and holds the original traceback.
        """
        case = self.cases[index]
        with naming(case.id, "reading"):
            label, guide = case.label, getattr(case, "guide", None)
            image = _whole(case.image, np.float32)
            if guide is not None:
                image = with_guide(image, _whole(guide, np.uint8), self.guide_classes)
            return Sample(
                image=image,
                label=None if label is None else _whole(label, np.uint8)[None],
                seed=0,
                case_id=case.id,
                boxes=boxes_of(case),
            )


def _whole(array: np.ndarray | Tensor, dtype: type) -> Tensor:
    return array if isinstance(array, Tensor) else torch.from_numpy(np.array(array, dtype=dtype))


@lru_cache(maxsize=4)
def _order(count: int, seed: int, number: int) -> np.ndarray:
    # Two passes meet in one batch, hence more than one kept.
    return np.random.default_rng([mix(seed, 1), number]).permutation(count)


def _patch_of(sample: Sample, start: Sequence[int], size: Sequence[int]) -> Sample:
    """Cut the patch out of a transformed region, which goes along as `Sample.wide`."""
    inside = box(start, size)
    image, label = sample.image, sample.label
    return sample._replace(
        image=image[inside].contiguous(),
        label=None if label is None else label[inside].contiguous(),
        wide=Wide(image, label, tuple(start)),
    )
