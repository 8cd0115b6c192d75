from __future__ import annotations

import pytest

from medseg.tracking.stopwatch import CudaStopwatch, HostStopwatch


class Gpu:
    """A device that does its work later: the host adds work, time passes on its own."""

    def __init__(self) -> None:
        self.host = 0.0  # seconds on the host's clock
        self.busy_until = 0.0  # when all work given so far is done
        self.synchronized = 0

    def launch(self, seconds: float) -> None:
        self.busy_until = max(self.busy_until, self.host) + seconds

    def event(self) -> GpuEvent:
        return GpuEvent(self)


class GpuEvent:
    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self.at = float("inf")

    def record(self) -> None:
        self.at = max(self.gpu.busy_until, self.gpu.host)

    def query(self) -> bool:
        return self.at <= self.gpu.host

    def synchronize(self) -> None:
        self.gpu.synchronized += 1
        self.gpu.host = max(self.gpu.host, self.at)

    def elapsed_time(self, end: GpuEvent) -> float:
        return 1000 * (end.at - self.at)


def test_each_moment_belongs_to_one_phase():
    now = [10.0]
    watch = HostStopwatch("other", now=lambda: now[0])
    for phase, took in [("loader", 1.0), ("forward", 2.0), ("loader", 4.0), ("other", 8.0)]:
        now[0] += took
        watch.switch(phase)
    assert watch.seconds == {"other": 1.0, "loader": 10.0, "forward": 4.0}
    now[0] += 0.5
    watch.settle()
    assert watch.seconds["other"] == 1.5


def step(gpu: Gpu, watch: CudaStopwatch, *, loading: float) -> None:
    watch.switch("loader")
    gpu.host += loading
    watch.switch("forward")
    gpu.launch(3.0)
    watch.switch("backward")
    gpu.launch(6.0)
    watch.switch("other")
    gpu.host += 0.001
    watch.settle()


def test_a_loader_behind_the_back_of_a_busy_gpu_costs_nothing():
    gpu = Gpu()
    watch = CudaStopwatch("other", event=gpu.event)
    for _ in range(10):
        step(gpu, watch, loading=5.0)
    assert gpu.synchronized == 0
    watch.settle(wait=True)
    # The first loading is waited for; the others happen while the device still computes.
    assert watch.seconds["loader"] == pytest.approx(5.0, abs=0.1)
    assert watch.seconds["forward"] == pytest.approx(30.0)
    assert watch.seconds["backward"] == pytest.approx(60.0)


def test_what_the_gpu_waits_for_is_counted():
    gpu = Gpu()
    watch = CudaStopwatch("other", event=gpu.event)
    for _ in range(10):
        step(gpu, watch, loading=19.0)
    watch.settle(wait=True)
    assert watch.seconds["loader"] == pytest.approx(19 + 9 * 10, abs=0.1)
    assert sum(watch.seconds.values()) == pytest.approx(gpu.host)


def test_events_are_read_late_and_used_again():
    gpu, made = Gpu(), []

    def event():
        made.append(gpu.event())
        return made[-1]

    watch = CudaStopwatch("other", event=event)
    gpu.launch(1.0)
    watch.switch("forward")
    watch.settle()
    assert watch.seconds == {}, "the device has not got there"
    gpu.host = 2.0
    watch.settle()
    assert watch.seconds == {"other": 1.0}
    for _ in range(100):
        gpu.host += 1.0
        watch.switch("loader")
        watch.switch("forward")
        watch.settle()
    assert len(made) <= 5
