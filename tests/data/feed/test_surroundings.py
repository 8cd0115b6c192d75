"""Patches that are cut with the context that a network reads around them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medseg.data.feed import MemoryCase, PatchDataset, SegmentationDataModule, collate
from medseg.data.feed.augment import Affine, LoaderTransform, Mirror, QuarterTurn
from medseg.networks.input_context import without_context


def numbered(shape, *, foreground=()):
    """A case whose voxels all differ from each other and from zero."""
    image = 1.0 + np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
    label = np.zeros(shape, dtype=np.uint8)
    for voxel in foreground:
        label[voxel] = 1
    return MemoryCase("numbered", image, label)


@pytest.mark.parametrize(
    ("shape", "patch", "context"),
    [((12, 10), (4, 5), (3, 2)), ((7, 9, 4), (4, 4, 6), (5, 2, 0)), ((6, 6), (4, 4), (20, 0))],
)
def test_the_middle_of_a_wider_patch_is_the_patch(shape, patch, context):
    cases = [numbered(shape, foreground=[(1,) * len(shape)])]
    plain = PatchDataset(cases, patch_size=patch, batch_size=2)
    wide = PatchDataset(cases, patch_size=patch, context=context, batch_size=2)
    for k in range(12):
        inner, outer = plain[k], wide[k]
        assert outer.image.shape[1:] == tuple(
            n + 2 * around for n, around in zip(patch, context, strict=True)
        )
        assert outer.label.shape[1:] == outer.image.shape[1:]
        assert outer.seed == inner.seed
        assert torch.equal(without_context(outer.image, context), inner.image)
        assert torch.equal(without_context(outer.label, context), inner.label)


def test_around_a_patch_lies_the_image_and_beyond_it_zeros():
    case = numbered((8, 9))
    context = (5, 3)
    beyond = np.pad(case.image[0], [(n, n) for n in context])
    data = PatchDataset([case], patch_size=(4, 4), context=context, batch_size=2)
    for k in range(20):
        found = data[k].image[0].numpy()
        # The first voxel of the patch itself is never beyond the image: its value is its place.
        row, column = divmod(int(found[5, 3]) - 1, 9)
        np.testing.assert_array_equal(found, beyond[row : row + 14, column : column + 10])


def test_forced_foreground_lies_in_the_patch_and_not_just_around_it():
    cases = [numbered((30, 30), foreground=[(15, 4)])]
    data = PatchDataset(cases, patch_size=(4, 4), context=(8, 8), batch_size=2)
    assert all(without_context(data[k].label, (8, 8)).any() for k in range(1, 40, 2))


def test_a_batch_equals_its_samples_stacked():
    cases = [numbered((9, 8, 7), foreground=[(2, 2, 2)])]
    data = PatchDataset(cases, patch_size=(4, 4, 4), context=(3, 9, 0), batch_size=2)
    made, stacked = data.batch([4, 5]), collate([data[4], data[5]])
    assert torch.equal(made.image, stacked.image) and torch.equal(made.label, stacked.label)


class Untouched(LoaderTransform):
    def __call__(self, sample, *, seed):
        return sample


def test_transforms_of_single_samples_see_the_surroundings_too():
    cases = [numbered((40, 40), foreground=[(20, 20)])]
    options = {"patch_size": (4, 4), "context": (3, 2), "batch_size": 1, "foreground_fraction": 1.0}
    options["margin"] = lambda seed, shape: ((2, 1), (0, 5))
    plain = PatchDataset(cases, **options)[0]
    found = PatchDataset(cases, **options, transforms=[Untouched()])[0]
    assert found.image.shape == (1, 10, 8) and found.wide.image.shape == (1, 13, 13)
    assert torch.equal(found.image, plain.image)


@pytest.mark.parametrize("move", [Mirror(p=1.0), QuarterTurn(p=1.0)], ids=["mirror", "turn"])
def test_augmentation_moves_the_surroundings_along(move):
    label = np.random.default_rng(0).integers(0, 200, (24, 24)).astype(np.uint8)
    case = MemoryCase("a", label[None].astype(np.float32), label)
    data = SegmentationDataModule(
        [case], patch_size=(6, 6), context=(4, 4), batch_size=8, augmentation=[move]
    )
    batch = data.train_set.batch(range(8))
    moved = data.augment(batch)
    assert moved.image.shape == (8, 1, 14, 14)
    assert torch.equal(moved.image, moved.label.float())
    assert not torch.equal(moved.image, batch.image)


def test_a_turned_patch_sees_the_image_beyond_its_surroundings():
    label = np.zeros((100, 100), dtype=int)
    label[50, 50] = 1
    data = SegmentationDataModule(
        [MemoryCase("a", np.ones((1, 100, 100)), label)],
        patch_size=(8, 8),
        context=(6, 6),
        batch_size=4,
        foreground_fraction=1.0,
        augmentation=[Affine(rotation=45.0, p_rotation=1.0, p_scale=0.0)],
    )
    batch = data.train_set.batch(range(4))
    assert torch.allclose(data.augment(batch).image, torch.ones(()), atol=1e-5)
    assert not data.augment(batch._replace(wide=None)).image.all()
