from types import SimpleNamespace

import pytest
import torch
from torch import nn

from medseg.training import benchmark
from medseg.training.benchmark import measure_speed


@pytest.mark.parametrize("dims", [2, 3])
def test_a_cpu_has_a_speed_and_random_generators_stay(dims):
    state = torch.get_rng_state()
    found = measure_speed("cpu", spatial_dims=dims)
    assert 1e8 < found.flops < 1e14 and found.values > 1e4 and found.overhead == 0
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("per_flop", "per_value"), [(1e-11, 1e-7), (1e-11, 0.0)])
def test_operations_and_memory_traffic_are_told_apart(monkeypatch, per_flop, per_value):
    def seconds(device, width, edge, dims, precision):
        return per_flop * benchmark._flops(width, edge, dims) + per_value * benchmark._values(
            width, edge, dims
        )

    monkeypatch.setattr(benchmark, "_seconds", seconds)
    found = measure_speed("cpu")
    assert found.flops == pytest.approx(1 / per_flop, rel=1e-3)
    if per_value:
        assert found.values == pytest.approx(1 / per_value, rel=1e-3)
    else:
        assert found.seconds(0, 1e9) < 1e-3


def test_a_first_step_that_loads_libraries_is_no_measure(monkeypatch):
    now = [0.0]

    class Network(nn.Conv3d):
        def __init__(self, **_):
            super().__init__(1, 3, 1)

        def forward(self, image):
            now[0] += 0.01 if now[0] else 5.0
            return super().forward(image)

    clock = SimpleNamespace(perf_counter=lambda: now[0], process_time=lambda: now[0])
    monkeypatch.setattr(benchmark, "time", clock)
    monkeypatch.setattr(benchmark, "UNet", Network)
    assert benchmark._seconds(torch.device("cpu"), 8, 8, 3, "32") <= 0.0101
