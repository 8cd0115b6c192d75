from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from medseg.data.feed import MemoryCase, PatchDataset, StepSampler, VolumeDataset, collate
from medseg.data.feed.augment import LoaderTransform
from medseg.data.prepare.entry import CachedCase
from medseg.errors import InputError, MedsegError
from medseg.geometry import Grid


def make_cases(count=5, shape=(12, 10, 9), seed=0):
    rng = np.random.default_rng(seed)
    cases = []
    for number in range(count):
        label = np.zeros(shape, dtype=np.uint8)
        label[tuple(rng.integers(n) for n in shape)] = 1
        label[tuple(rng.integers(n) for n in shape)] = 2
        image = rng.normal(size=(1, *shape)).astype(np.float32) + 10 * number
        cases.append(MemoryCase(f"case{number}", image, label))
    return cases


def same(a, b):
    return (
        torch.equal(a.image, b.image)
        and torch.equal(a.label, b.label)
        and (a.seed, a.case_id) == (b.seed, b.case_id)
    )


def test_an_item_is_decided_by_seed_and_number_alone():
    first = PatchDataset(make_cases(), patch_size=(4, 4, 4), batch_size=2, seed=3)
    second = PatchDataset(make_cases(), patch_size=(4, 4, 4), batch_size=2, seed=3)
    backwards = {k: second[k] for k in reversed(range(40))}
    assert all(same(first[k], backwards[k]) for k in range(40))
    other = PatchDataset(make_cases(), patch_size=(4, 4, 4), batch_size=2, seed=4)
    assert not all(same(first[k], other[k]) for k in range(5))


def test_each_case_is_seen_once_a_pass_in_changing_order():
    data = PatchDataset(make_cases(), patch_size=(4, 4, 4), batch_size=2)
    passes = [tuple(data[5 * n + i].case_id for i in range(5)) for n in range(6)]
    assert all(Counter(p) == Counter(c.id for c in data.cases) for p in passes)
    assert len(set(passes)) > 1


def test_the_forced_item_of_each_batch_holds_foreground():
    data = PatchDataset(make_cases(), patch_size=(4, 4, 4), batch_size=2)
    assert all(data[k].label.any() for k in range(1, 61, 2))
    assert not all(data[k].label.any() for k in range(0, 60, 2))


def test_patch_and_label_come_from_the_same_place():
    shape = (9, 8, 7)
    label = np.random.default_rng(0).integers(0, 200, shape).astype(np.uint8)
    case = MemoryCase("a", label[None].astype(np.float32), label)
    data = PatchDataset([case], patch_size=(4, 10, 3), batch_size=2)
    for k in range(10):
        item = data[k]
        assert item.image.shape == (1, 4, 10, 3)
        assert item.image.dtype == torch.float32
        assert item.label.dtype == torch.uint8
        assert torch.equal(item.image, item.label.float())


def test_two_dimensional_cases_work():
    case = MemoryCase("a", np.ones((3, 20, 30)), np.ones((20, 30), dtype=int))
    item = PatchDataset([case], patch_size=(8, 8), batch_size=1)[0]
    assert item.image.shape == (3, 8, 8)
    assert item.label.shape == (1, 8, 8)


def test_a_case_of_the_cache_fits():
    label = np.zeros((6, 6, 6), dtype=np.uint8)
    label[2, 3, 4] = 1
    case = CachedCase(
        id="a",
        image=np.zeros((1, 6, 6, 6), dtype=np.float32),
        label=label,
        locations={1: np.argwhere(label == 1)},
        record=(),
        grid=Grid.from_spacing((6, 6, 6)),
    )
    data = PatchDataset([case], patch_size=(2, 2, 2), batch_size=2, foreground_fraction=1.0)
    assert data[0].label.any()


def test_whole_volumes_are_given_unchanged():
    cases = make_cases(2)
    batch = next(iter(DataLoader(VolumeDataset(cases), batch_size=1, collate_fn=collate)))
    np.testing.assert_array_equal(batch.image[0].numpy(), cases[0].image)
    np.testing.assert_array_equal(batch.label[0, 0].numpy(), cases[0].label)
    assert batch.case_ids == ["case0"]


def test_locations_are_those_of_the_label_and_bounded():
    label = np.zeros((40, 40, 40), dtype=np.uint8)
    label[:30] = 1
    label[35, 1, 2] = 7
    case = MemoryCase("a", np.zeros((1, 40, 40, 40)), label)
    assert set(case.locations) == {1, 7}
    assert len(case.locations[1]) == 10_000
    assert np.all(label[tuple(case.locations[1].T)] == 1)
    assert case.locations[7].tolist() == [[35, 1, 2]]


@pytest.mark.parametrize(
    ("image", "label", "message"),
    [
        (np.zeros((4, 4)), None, "channel axis"),
        (np.zeros((1, 4, 4)), np.zeros((4, 5)), "different shapes"),
        (np.zeros((1, 4, 4)), np.full((4, 4), 0.5), "class indices"),
        (np.zeros((1, 4, 4)), np.full((4, 4), 300), "class indices"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(image, label, message):
    with pytest.raises(InputError, match=message) as caught:
        MemoryCase("odd one", image, label)
    assert "odd one" in str(caught.value)


def test_no_cases_no_label_and_wrong_dimensions_are_refused():
    with pytest.raises(InputError, match="no training cases"):
        PatchDataset([], patch_size=(4, 4), batch_size=2)
    bare = MemoryCase("bare", np.zeros((1, 8, 8)))
    with pytest.raises(InputError, match="'bare' has no label"):
        PatchDataset([bare], patch_size=(4, 4), batch_size=2)[0]
    with pytest.raises(InputError, match="different dimensions"):
        PatchDataset(make_cases(1), patch_size=(4, 4), batch_size=2)[0]
    with pytest.raises(InputError, match="foreground_fraction"):
        PatchDataset(make_cases(1), patch_size=(4, 4, 4), batch_size=2, foreground_fraction=2)


class BrokenCase:
    id = "patient 17"
    locations: dict = {}  # noqa: RUF012

    @property
    def image(self):
        raise OSError("cannot map the file")

    @property
    def label(self):
        return np.zeros((8, 8, 8), dtype=np.uint8)


class Failing(LoaderTransform):
    def __call__(self, sample, *, seed):
        raise ZeroDivisionError("inside the transform")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_failing_case_is_named_with_its_own_traceback(workers):
    data = PatchDataset([BrokenCase()], patch_size=(4, 4, 4), batch_size=1)
    sampler = StepSampler(batch_size=1, steps_per_epoch=1)
    loader = DataLoader(data, sampler=sampler, num_workers=workers, collate_fn=collate)
    with pytest.raises(InputError) as caught:
        next(iter(loader))
    text = str(caught.value)
    assert "patient 17" in text
    assert "OSError: cannot map the file" in text
    assert 'raise OSError("cannot map the file")' in text


@pytest.mark.parametrize("workers", [0, 1])
def test_a_failing_transform_is_named_with_the_case(workers):
    data = PatchDataset(make_cases(1), patch_size=(4, 4, 4), batch_size=1, transforms=[Failing()])
    sampler = StepSampler(batch_size=1, steps_per_epoch=1)
    loader = DataLoader(data, sampler=sampler, num_workers=workers, collate_fn=collate)
    with pytest.raises(MedsegError) as caught:
        next(iter(loader))
    assert not isinstance(caught.value, InputError)
    for part in ("case0", "Failing", "ZeroDivisionError: inside the transform"):
        assert part in str(caught.value)
