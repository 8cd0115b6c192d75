from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from medseg.data.feed import MemoryCase, PatchDataset, TensorCase
from medseg.data.feed.residence import choose_residence, settle, size_of
from medseg.errors import InputError

GIB = 2**30
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def choose(asked="auto", *, size=GIB, device=CPU, on_samples=False, **known):
    known = {"memory": 8 * GIB, "free": 80 * GIB, **known}
    return choose_residence(asked, size=size, device=device, on_samples=on_samples, **known).where


@pytest.mark.parametrize(
    ("known", "where"),
    [
        ({}, "ram"),
        ({"size": 2 * GIB}, "disk"),
        ({"device": GPU}, "device"),
        ({"device": GPU, "size": 19 * GIB, "memory": 80 * GIB}, "device"),
        ({"device": GPU, "size": 20 * GIB, "memory": 160 * GIB}, "ram"),
        ({"device": GPU, "size": 20 * GIB, "memory": 80 * GIB}, "disk"),
        ({"device": GPU, "reserved": 77 * GIB}, "ram"),
        ({"device": GPU, "reserved": 99 * GIB}, "ram"),
        ({"device": GPU, "on_samples": True}, "ram"),
        ({"asked": "disk"}, "disk"),
        ({"asked": "ram", "size": 99 * GIB}, "ram"),
        ({"asked": "device"}, "device"),
        ({"asked": "device", "device": GPU, "size": 70 * GIB}, "device"),
    ],
)
def test_cases_live_in_the_fastest_place_that_has_room(known, where):
    assert choose(**known) == where


def test_what_cannot_be_is_refused_with_what_can():
    with pytest.raises(InputError, match=r"do not fit") as caught:
        choose("device", device=GPU, size=90 * GIB, reserved=5 * GIB)
    assert "75.0 GiB" in str(caught.value)
    assert "data.cache=auto" in str(caught.value)
    with pytest.raises(InputError, match="per-sample transforms"):
        choose("device", device=GPU, on_samples=True)


class OnDisk:
    """A case as the cache gives them."""

    def __init__(self, folder, case: MemoryCase) -> None:
        self.id, self.locations, self.did = case.id, case.locations, []
        for name, array in (("image", case.image), ("label", case.label)):
            np.save(folder / f"{case.id}_{name}.npy", array)
            mapped = np.load(folder / f"{case.id}_{name}.npy", mmap_mode="r")
            setattr(self, name, mapped)
        self.nbytes = case.image.nbytes + case.label.nbytes

    def load(self):
        self.did.append("load")
        self.image, self.label = np.array(self.image), np.array(self.label)

    def close(self):
        self.did.append("close")


def make_cases(folder):
    rng = np.random.default_rng(0)
    cases = []
    for number, shape in enumerate([(9, 12, 7), (3, 20, 8), (14, 5, 6)]):
        image = rng.normal(size=(2, *shape)).astype(np.float32)
        case = MemoryCase(f"case{number}", image, rng.integers(0, 3, shape))
        cases.append((case, OnDisk(folder, case)))
    return [c for c, _ in cases], [d for _, d in cases]


def wants(seed, shape):
    """Ask for a margin for some samples, as augmentation does."""
    return ((2, 1), (0, 3), (1, 1)) if seed % 2 else None


def flat(batch):
    parts = [batch.image, batch.label, batch.seeds]
    for one in batch.wide or []:
        parts += [] if one is None else [one.image, one.label, torch.tensor(one.start)]
    return parts, batch.case_ids


@pytest.mark.parametrize("where", ["ram", "disk", "device"])
def test_patches_are_the_same_to_the_last_bit_wherever_the_cases_live(tmp_path, where):
    given, cached = make_cases(tmp_path)
    residence = choose_residence(where, size=size_of(cached), device=CPU, on_samples=False)
    settled = settle(cached, residence, device=CPU)
    options = {"patch_size": (5, 6, 4), "batch_size": 4, "margin": wants}
    expected, found = PatchDataset(given, **options), PatchDataset(settled, **options)
    seen = 0
    for first in range(0, 60, 4):
        a, b = (flat(d.batch(range(first, first + 4))) for d in (expected, found))
        assert a[1] == b[1]
        assert all(torch.equal(x, y) for x, y in zip(a[0], b[0], strict=True))
        assert all(x.dtype == y.dtype for x, y in zip(a[0], b[0], strict=True))
        seen += len(a[0]) > 3
    assert seen > 5  # the margin was asked for


def test_cases_of_the_cache_are_read_when_they_settle_and_their_files_let_go(tmp_path):
    for where, expected in (("ram", ["load"]), ("device", ["close"]), ("disk", [])):
        _, cached = make_cases(tmp_path)
        residence = choose_residence(where, size=1, device=CPU, on_samples=False)
        settled = settle(cached, residence, device=CPU)
        assert [case.did for case in cached] == [expected] * 3
        for case in settled:
            arrays = [case.image, case.label, *case.locations.values()]
            mapped = any(isinstance(a, np.memmap) for a in arrays)
            assert mapped == (where == "disk")


def test_a_case_on_a_device_is_not_sent_to_another_process(tmp_path):
    given, _ = make_cases(tmp_path)
    residence = choose_residence("device", size=1, device=CPU, on_samples=False)
    (case,) = settle(given[:1], residence, device=CPU)
    assert isinstance(case, TensorCase)
    with pytest.raises(TypeError, match="no loader processes"):
        pickle.dumps(case)


def test_size_is_that_of_images_and_labels(tmp_path):
    given, cached = make_cases(tmp_path)
    voxels = 9 * 12 * 7 + 3 * 20 * 8 + 14 * 5 * 6
    assert size_of(given) == size_of(cached) == voxels * (2 * 4 + 1)
