"""Map-style data sets over preprocessed cases."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch
from torch.utils.data import Dataset

from medseg.data.feed.augment.transform import LoaderTransform
from medseg.data.feed.batch import Sample
from medseg.data.feed.cases import FeedCase
from medseg.data.feed.sampling import forced_foreground, foreground_voxel, patch_start, read_patch
from medseg.data.feed.seeds import mix, streams
from medseg.errors import InputError, MedsegError


class PatchDataset(Dataset):
    """Random patches; item ``k`` is the same whenever and wherever it is asked for.

    Cases come in a new shuffled order on every pass over them, so each is seen equally often.
    Items never end: ``k`` may be any non-negative number. Draw them with `StepSampler`; a plain
    shuffling loader would ask for items ``0 … len - 1`` again in every epoch.

    Args:
        cases: labelled cases.
        patch_size: voxels per axis; a smaller image is padded with zeros.
        batch_size: items per step, for the rule of `forced_foreground`.
        foreground_fraction: the part of each batch that must hold foreground.
        seed: of cases, positions and augmentation.
        transforms: per-sample transforms, applied in order.

    Raises:
        InputError: no cases, or one that cannot be used (said by name).
    """

    def __init__(
        self,
        cases: Sequence[FeedCase],
        *,
        patch_size: Sequence[int],
        batch_size: int,
        foreground_fraction: float = 1 / 3,
        seed: int = 0,
        transforms: Sequence[LoaderTransform] = (),
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
        self.batch_size = int(batch_size)
        self.foreground_fraction = float(foreground_fraction)
        self.seed = int(seed)
        self.transforms = list(transforms)
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
        with _naming(case.id, "reading"):
            sample = self._cut(case, int(index))
        for transform, stream in zip(self.transforms, self._streams, strict=True):
            with _naming(case.id, f"transform {transform.name}"):
                sample = transform(sample, seed=mix(sample.seed, stream))
        return sample

    def _cut(self, case: FeedCase, index: int) -> Sample:
        if case.label is None:
            raise InputError(f"training case {case.id!r} has no label")
        rng = np.random.default_rng([mix(self.seed, 0), index])
        shape = case.label.shape
        if len(shape) != len(self.patch_size):
            raise InputError(
                f"case {case.id!r} and the patch have different dimensions",
                expected=f"{len(self.patch_size)} axes, as the patch {self.patch_size}",
                found=f"shape {tuple(shape)}",
            )
        forced = forced_foreground(index, self.batch_size, self.foreground_fraction)
        centre = foreground_voxel(case.locations, rng) if forced else None
        start = patch_start(shape, self.patch_size, rng, centre=centre)
        image = read_patch(case.image, start, self.patch_size)
        label = read_patch(case.label, start, self.patch_size)
        return Sample(
            image=torch.from_numpy(image.astype(np.float32, copy=False)),
            label=torch.from_numpy(label.astype(np.uint8, copy=False))[None],
            seed=int(rng.integers(2**63)),
            case_id=case.id,
        )


class VolumeDataset(Dataset):
    """Whole volumes, in the order given; for validation."""

    def __init__(self, cases: Sequence[FeedCase]) -> None:
        self.cases = list(cases)

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> Sample:
        """Read case ``index`` whole.

        Raises:
            InputError: the case cannot be read; names it and holds the original traceback.
        """
        case = self.cases[index]
        with _naming(case.id, "reading"):
            label = case.label
            return Sample(
                image=torch.from_numpy(np.array(case.image, dtype=np.float32)),
                label=None if label is None else torch.from_numpy(np.array(label, np.uint8))[None],
                seed=0,
                case_id=case.id,
            )


@lru_cache(maxsize=4)
def _order(count: int, seed: int, number: int) -> np.ndarray:
    # Two passes meet in one batch, hence more than one kept.
    return np.random.default_rng([mix(seed, 1), number]).permutation(count)


@contextmanager
def _naming(case_id: str, doing: str) -> Iterator[None]:
    """Turn any failure into one that names the case.

    The text holds the traceback because a loader's worker passes on nothing but type and text.
    """
    try:
        yield
    except InputError as error:
        if repr(case_id) in str(error):
            raise
        raise InputError(f"case {case_id!r}, {doing}: {error}") from error
    except Exception as error:
        text = f"case {case_id!r}: {doing} failed\n{traceback.format_exc()}".rstrip()
        if doing != "reading":
            raise MedsegError(text) from error
        remedy = "delete the cache of this run if the file is damaged; it is made anew"
        raise InputError(text, remedy=remedy) from error
