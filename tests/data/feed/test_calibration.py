from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from medseg.data.feed import FeedPlan, MemoryCase, PatchDataset
from medseg.data.feed import calibration as module
from medseg.data.feed.augment import LoaderTransform
from medseg.data.feed.calibration import choose_workers, plan_feed
from medseg.data.feed.residence import Residence
from medseg.machine import within_cores

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


class Slow(LoaderTransform):
    def __init__(self, seconds=0.02):
        self.seconds = seconds

    def __call__(self, sample, *, seed):
        time.sleep(self.seconds)
        return sample


def make_data(transforms=()):
    rng = np.random.default_rng(0)
    cases = [
        MemoryCase(f"case{i}", rng.normal(size=(1, 9, 9)), rng.integers(0, 2, (9, 9)))
        for i in range(3)
    ]
    return PatchDataset(cases, patch_size=(4, 4), batch_size=2, transforms=transforms)


@pytest.mark.parametrize(
    ("alone", "together", "most", "step", "expected"),
    [
        (0.001, 0.001, 4, 1.0, 0),  # nothing to gain beside a slow step
        (0.1, 0.1, 1, None, 0),  # the disk is the limit
        (0.1, 0.12, 2, None, 0),
        (0.5, 0.125, 4, None, 4),  # only the rate counts
        (0.5, 0.125, 4, 1.0, 1),  # one keeps up with the step
        (0.5, 0.125, 4, 0.26, 2),
        (0.5, 0.125, 4, 0.01, 4),
        (0.5, 0.2, 4, 0.3, 3),  # 0.267 s between batches is enough, 0.4 s is not
    ],
)
def test_the_fewest_workers_that_help_most_are_taken(alone, together, most, step, expected):
    assert choose_workers(alone, together, most=most, step=step) == expected


@pytest.mark.parametrize("step", [None, 0.05, 0.3])
def test_the_choice_is_the_best_of_all_within_three_percent(step):
    rng = np.random.default_rng(0)
    base = step or 0.0
    for alone, speedup, most in zip(
        rng.uniform(0.01, 0.5, 100), rng.uniform(0.8, 8, 100), rng.integers(1, 8, 100), strict=True
    ):
        together = alone / speedup
        costs = [base + alone, *(max(base, together * most / n) for n in range(1, most + 1))]
        chosen = choose_workers(alone, together, most=int(most), step=step)
        assert costs[chosen] <= 1.031 * min(costs)


def test_rules_come_before_measuring(monkeypatch):
    monkeypatch.setattr(module, "_alone", lambda *_, **__: pytest.fail("measured"))
    ram, disk, device = (Residence(w, "because") for w in ("ram", "disk", "device"))
    assert plan_feed(make_data(), ram, device=CPU) == FeedPlan(
        "ram", 0, False, 0, "because; cutting patches costs next to nothing"
    )
    on_gpu = plan_feed(make_data(), ram, device=GPU)
    assert (on_gpu.workers, on_gpu.pin_memory, on_gpu.prefetch) == (0, True, 1)
    # On the device already: nothing to pin, nothing to fetch, and no process may touch it.
    for asked in (None, 2):
        there = plan_feed(make_data(), device, device=GPU, workers=asked)
        assert (there.workers, there.pin_memory, there.prefetch) == (0, False, 0)
    asked = plan_feed(make_data([Slow()]), disk, device=GPU, workers=1)
    assert (asked.workers, asked.pin_memory, asked.prefetch) == (1, True, 2)
    assert "data.workers is 1" in asked.line()


def test_transforms_that_draw_from_the_global_generators_never_run_in_a_thread():
    plan = plan_feed(make_data([Slow()]), Residence("ram", ""), device=GPU, workers=0)
    assert plan.prefetch == 0


def test_more_workers_than_cores_are_not_started_and_it_is_said(monkeypatch):
    monkeypatch.setattr("medseg.machine.usable_cores", lambda: 2)
    assert within_cores(2) == (2, None)
    assert within_cores(64) == (2, "data.workers is 64, but there are 2 cores: 2 are used")
    plan = plan_feed(make_data(), Residence("ram", ""), device=CPU, workers=64)
    assert plan.workers == 2
    assert "64, but there are 2 cores" in plan.line()
    monkeypatch.setattr("medseg.machine.usable_cores", lambda: 1)
    assert within_cores(3)[1] == "data.workers is 3, but there is 1 core: 1 is used"


def test_slow_transforms_are_measured_within_bounds(monkeypatch):
    monkeypatch.setattr(module, "usable_cores", lambda: 3)
    data = make_data([Slow()])
    started = time.perf_counter()
    plan = plan_feed(data, Residence("ram", ""), device=CPU, seconds=0.6)
    assert time.perf_counter() - started < 10
    assert plan.workers == 2  # sleeping, two are twice as fast on any machine
    assert plan.prefetch == 4
    assert 50 < plan.patches_per_second <= 110
    assert "patches a second" in plan.line()


def test_a_slow_step_hides_quick_transforms():
    plan = plan_feed(make_data([Slow(0.01)]), Residence("ram", ""), device=CPU, step_seconds=5.0)
    assert plan.workers == 0
    assert plan.patches_per_second == pytest.approx(100, rel=0.3)


def test_cases_on_disk_without_transforms_need_no_workers_when_cutting_is_quick():
    plan = plan_feed(make_data(), Residence("disk", ""), device=CPU)
    assert plan.workers == 0
    assert "ms" in plan.reason


def test_measuring_moves_no_global_generator():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    plan_feed(make_data([Slow(0.006)]), Residence("disk", ""), device=CPU, seconds=0.1)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
