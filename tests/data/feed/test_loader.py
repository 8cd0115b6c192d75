from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest
import torch

from medseg.data.feed import MemoryCase, PatchDataset, StepSampler, collate
from medseg.data.feed.augment import LoaderTransform
from medseg.data.feed.loader import FeedLoader, PatchBatches, one_ahead, worker_died
from medseg.errors import InputError


def test_one_ahead_gives_everything_in_order():
    assert list(one_ahead(iter(range(50)))) == list(range(50))
    assert list(one_ahead(iter([]))) == []


def test_the_next_item_is_made_while_this_one_is_used():
    begun = []

    def slowly():
        for number in range(3):
            begun.append((number, threading.current_thread().name))
            yield number

    items = one_ahead(slowly())
    time.sleep(0.05)
    assert begun == []  # nothing is asked for before the first item is
    assert next(items) == 0
    deadline = time.monotonic() + 5
    while len(begun) < 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert [number for number, _ in begun] == [0, 1]
    assert all(name.startswith("feed") for _, name in begun)


def test_an_error_comes_where_its_item_would():
    def failing():
        yield 1
        raise InputError("case 'b' is damaged")

    items = one_ahead(failing())
    assert next(items) == 1
    with pytest.raises(InputError, match="case 'b'"):
        next(items)


def test_a_loader_that_is_left_early_leaves_no_thread():
    items = one_ahead(iter(range(9)))
    next(items)
    items.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("feed")]


def make_data(transforms=()):
    rng = np.random.default_rng(0)
    cases = [
        MemoryCase(f"case{i}", rng.normal(size=(1, 9, 9)), rng.integers(0, 2, (9, 9)))
        for i in range(3)
    ]
    return PatchDataset(cases, patch_size=(4, 4), batch_size=2, transforms=transforms)


def make_loader(data, workers=0, *, ahead=False, steps=4):
    loader = FeedLoader(
        PatchBatches(data),
        batch_size=2,
        sampler=StepSampler(batch_size=2, steps_per_epoch=steps),
        num_workers=workers,
        collate_fn=collate,
    )
    loader.ahead = ahead
    return loader


@pytest.mark.parametrize(("workers", "ahead"), [(0, True), (1, False), (2, True)])
def test_batches_are_the_same_however_they_are_made_ready(workers, ahead):
    plain, other = make_loader(make_data()), make_loader(make_data(), workers, ahead=ahead)
    for _ in range(2):  # two epochs
        for a, b in zip(plain, other, strict=True):
            assert torch.equal(a.image, b.image)
            assert torch.equal(a.label, b.label)
            assert (a.seeds.tolist(), a.case_ids) == (b.seeds.tolist(), b.case_ids)


class Die(LoaderTransform):
    def __init__(self, how):
        self.how = how

    def __call__(self, sample, *, seed):
        if isinstance(self.how, int):
            os._exit(self.how)
        os.kill(os.getpid(), self.how and getattr(signal, self.how))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("SIGKILL", ["memory ran out", "data.cache=disk"]),
        (3, ["ended by itself", "__main__"]),
    ],
)
def test_a_worker_that_dies_is_explained(how, said):
    loader = make_loader(make_data([Die(how)]), workers=1)
    with pytest.raises(InputError, match="a loader worker died") as caught:
        list(loader)
    for part in said:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("signal_said", "reason"),
    [
        (
            "Bus error. It is possible that dataloader's workers are out of shared memory.",
            "/dev/shm",
        ),
        ("Segmentation fault.", "crashed"),
        ("Aborted.", "crashed"),
    ],
)
def test_signals_are_told_apart(signal_said, reason):
    text = f"DataLoader worker (pid 7) is killed by signal: {signal_said}"
    assert reason in str(worker_died(text, 4))


class Fail(LoaderTransform):
    def __call__(self, sample, *, seed):
        raise ValueError("as it happens")


@pytest.mark.parametrize(("workers", "ahead"), [(0, False), (0, True), (1, False)])
def test_a_failure_names_the_case_and_keeps_its_own_traceback(workers, ahead):
    loader = make_loader(make_data([Fail()]), workers, ahead=ahead)
    with pytest.raises(Exception, match="as it happens") as caught:
        list(loader)
    assert "case 'case" in str(caught.value)
    assert 'raise ValueError("as it happens")' in str(caught.value)
