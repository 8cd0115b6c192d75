from __future__ import annotations

import numpy as np
import pytest
import torch

from medseg.data.feed import MemoryCase, PatchDataset, Sample, collate
from medseg.data.feed.augment import Affine, Compose, LoaderTransform
from medseg.data.feed.batch import to_device
from medseg.errors import InputError

PATCH = (4, 5, 6)


def make_case(name="a", shape=(20, 16, 5), channels=2, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 200, shape).astype(np.uint8)
    image = np.stack([label + 1000.0 * c for c in range(channels)])
    return MemoryCase(name, image, label)


def always(seed, shape):
    assert shape == (2, *PATCH)
    return (3, 2), (1, 30), (4, 4)


def make(cases, margin=always, batch_size=3, **options):
    return PatchDataset(cases, patch_size=PATCH, batch_size=batch_size, margin=margin, **options)


@pytest.mark.parametrize("margin", [None, always])
def test_a_batch_is_its_items_stacked(margin):
    data = make([make_case("a"), make_case("b", (6, 30, 30), seed=1)], margin)
    for first in range(0, 30, 3):
        whole, parts = (
            data.batch([first, first + 1, first + 2]),
            [data[first + i] for i in range(3)],
        )
        stacked = collate(parts)
        assert torch.equal(whole.image, stacked.image)
        assert torch.equal(whole.label, stacked.label)
        assert torch.equal(whole.seeds, stacked.seeds)
        assert whole.case_ids == stacked.case_ids
        assert (whole.wide is None) == (stacked.wide is None) == (margin is None)
        for a, b in zip(whole.wide or [], stacked.wide or [], strict=True):
            assert torch.equal(a.image, b.image)
            assert torch.equal(a.label, b.label)
            assert a.start == b.start


def test_a_region_is_what_lies_around_the_patch_and_ends_at_the_border():
    case = make_case()
    data = make([case])
    plain = make([case], None)
    reached = set()
    for k in range(200):
        item, region = data[k], data[k].wide
        assert torch.equal(item.image, plain[k].image)
        inside = (..., *(slice(s, s + p) for s, p in zip(region.start, PATCH, strict=True)))
        assert torch.equal(region.image[inside], item.image)
        assert torch.equal(region.label[inside], item.label)
        # The last axis is shorter than the patch: nothing to add there.
        assert region.image.shape[3] == PATCH[2]
        assert region.start[2] == 0
        # Where a voxel came from can be told from its neighbours in the array.
        size = np.array(region.label.shape[1:3])
        found = [
            (i, j)
            for i in range(20 - size[0] + 1)
            for j in range(16 - size[1] + 1)
            if np.array_equal(
                case.label[i : i + size[0], j : j + size[1]], region.label[0, :, :, :5].numpy()
            )
        ]
        assert len(found) == 1
        low = found[0][0]
        assert region.start[0] == 3 or low == 0
        assert region.start[1] == 1 or found[0][1] == 0
        assert size[0] == region.start[0] + 4 + 2 or low + size[0] == 20
        assert found[0][1] + size[1] == 16
        reached.add((region.start[0], int(size[0])))
    assert len(reached) > 3


def test_regions_in_memory_are_not_copied():
    case = make_case(shape=(20, 16, 12))
    batch = make([case], lambda seed, shape: ((2, 2),) * 3, batch_size=1).batch([0])
    assert np.shares_memory(batch.wide[0].image.numpy(), case.image)
    assert not np.shares_memory(batch.image.numpy(), case.image)
    item = make([case], lambda seed, shape: ((2, 2),) * 3, batch_size=1)[0]
    assert not np.shares_memory(item.wide.image.numpy(), case.image)


def test_moving_a_batch_moves_its_regions():
    batch = make([make_case()]).batch([0, 1, 2])
    moved = to_device(batch._replace(wide=[batch.wide[0], None, None]), torch.device("meta"))
    assert moved.image.device.type == moved.label.device.type == "meta"
    assert moved.wide[0].image.device.type == moved.wide[0].label.device.type == "meta"
    assert moved.wide[0].start == batch.wide[0].start
    assert moved.wide[1:] == [None, None]
    assert moved.seeds.device.type == "cpu"


class Numbers(LoaderTransform):
    """Add to each voxel its place within what is given: shows what a transform gets to see."""

    def __call__(self, sample: Sample, *, seed: int) -> Sample:
        number = torch.arange(sample.image[0].numel()).view(sample.image.shape[1:])
        return sample._replace(image=sample.image * 0 + number)


def test_per_sample_transforms_see_the_region_and_the_patch_is_cut_from_their_result():
    case = make_case()
    item = make([case], transforms=[Numbers()])[7]
    region = item.wide
    number = torch.arange(region.image[0].numel()).view(region.image.shape[1:]).float()
    assert torch.equal(region.image[1], number)
    inside = tuple(slice(s, s + p) for s, p in zip(region.start, PATCH, strict=True))
    assert torch.equal(item.image[0], number[inside])
    assert torch.equal(item.label, make([case])[7].label)


def test_the_margin_of_the_default_augmentation_fits():
    rng = np.random.default_rng(0)
    case = MemoryCase("a", rng.normal(size=(2, 30, 30, 30)), rng.integers(0, 2, (30, 30, 30)))
    augment = Compose([Affine(p_rotation=1.0)])
    batch = make([case], augment.margin).batch([0, 1, 2])
    assert batch.wide is not None
    out = augment(batch)
    assert out.wide is None
    assert out.image.shape == batch.image.shape


def test_another_number_of_channels_is_named():
    data = make([make_case("two"), make_case("three", channels=3)], None, batch_size=2)
    with pytest.raises(InputError, match="number of channels") as caught:
        data.batch([0, 1])
    assert "'two'" in str(caught.value) or "'three'" in str(caught.value)


class Unreadable:
    id = "patient 17"
    locations: dict = {}  # noqa: RUF012
    label = np.zeros((8, 8, 8), dtype=np.uint8)

    @property
    def image(self):
        raise OSError("cannot map the file")


def test_a_case_that_fails_within_a_batch_is_named():
    data = make([make_case("fine", (9, 9, 9)), Unreadable()], None, batch_size=2)
    with pytest.raises(InputError, match="patient 17") as caught:
        data.batch([0, 1])
    assert 'raise OSError("cannot map the file")' in str(caught.value)
