import pytest
import torch

from medseg.training import precision


@pytest.fixture(autouse=True)
def forget():
    precision.bf16_pays_on_cpu.cache_clear()
    yield
    precision.bf16_pays_on_cpu.cache_clear()


@pytest.mark.parametrize(
    ("native", "plain", "brief", "expected"),
    [(False, 2.0, 1.0, False), (True, 2.0, 1.0, True), (True, 1.0, 1.0, False)],
)
def test_bfloat16_is_taken_where_it_is_native_and_measured_faster(
    monkeypatch, native, plain, brief, expected
):
    monkeypatch.setattr(precision, "has_bf16_instructions", lambda: native)
    monkeypatch.setattr(precision, "timed", lambda: (plain, brief))
    assert precision.bf16_pays_on_cpu() is expected


def test_the_timing_itself_leaves_random_state_and_threads_alone():
    before = torch.get_rng_state()
    threads = torch.get_num_threads()
    assert min(precision.timed()) > 0
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
