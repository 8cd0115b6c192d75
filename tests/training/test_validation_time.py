from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from medseg.data.feed.batch import collate
from medseg.data.feed.cases import MemoryCase
from medseg.data.feed.dataset import VolumeDataset
from medseg.inference.window import SlidingWindow, window_starts
from medseg.training.validation_time import ValidationTime, predicted_seconds, saving_seconds


class Slow:
    """A module whose time goes by the windows it is given, on a clock of its own."""

    device = torch.device("cpu")

    def __init__(self, *, a_window=0.1, first=0.0):
        self.window = SlidingWindow((8, 8, 8))
        self.seconds, self.a_window, self.first = 0.0, a_window, first

    def score(self, batch):
        size = [max(n, 8) for n in batch.image.shape[2:]]
        self.seconds += self.a_window * len(window_starts(size, (8, 8, 8), 0.5)) + self.first
        self.first = 0.0


def volumes(sizes):
    return VolumeDataset(
        [
            MemoryCase(f"case_{i}", np.zeros((1, *size)), np.zeros(size, np.uint8))
            for i, size in enumerate(sizes)
        ]
    )


def truth(sizes, a_window=0.1):
    return a_window * sum(
        len(window_starts([max(n, 8) for n in size], (8, 8, 8), 0.5)) for size in sizes
    )


@pytest.mark.parametrize("first", [0.0, 30.0])
def test_cases_of_any_size_are_predicted_by_their_windows_and_a_cold_start_does_not_count(first):
    sizes = [(8, 8, 8), (16, 8, 8), (20, 20, 12), (5, 30, 9)] * 10
    module = Slow(first=first)
    seconds = predicted_seconds(
        module, volumes(sizes), collate, spend=1.0, hopeless=1e9, now=lambda: module.seconds
    )
    assert seconds == pytest.approx(truth(sizes), rel=1e-6)


def test_timing_stops_when_it_has_cost_enough():
    module = Slow()
    predicted_seconds(
        module,
        volumes([(16, 16, 16)] * 50),
        collate,
        spend=3.0,
        hopeless=1e9,
        now=lambda: module.seconds,
    )
    assert module.seconds <= 3.0 + 2 * 2.7 + 0.2  # what was spent, and the case that went beyond


def test_a_hopeless_validation_is_known_from_a_single_patch():
    sizes, module = [(64, 64, 64)] * 3, Slow()
    seconds = predicted_seconds(
        module, volumes(sizes), collate, spend=1.0, hopeless=60.0, now=lambda: module.seconds
    )
    assert seconds == pytest.approx(truth(sizes)) and module.seconds < 1.0


def test_no_cases_take_no_time():
    assert predicted_seconds(Slow(), volumes([]), collate, spend=1.0, hopeless=1.0) == 0.0


def test_the_median_of_the_last_three_is_expected_and_a_stall_left_out():
    known = ValidationTime()
    known.estimate = 5.0
    assert known.expected == 5.0 and not known.measured
    for took in (20.0, 10.0, 11.0, 10.5):
        known.finished(took)
    assert known.expected == 10.5
    other = ValidationTime()
    other.begin()
    for seconds in (1.0, 1.0, 61.0, 1.0):
        other.case(seconds)
    other.finished(64.0)
    assert other.expected == pytest.approx(13.0)


def test_its_state_survives():
    known = ValidationTime()
    known.finished(3.0)
    known.further(1.0)
    again = ValidationTime()
    again.load_state_dict(known.state_dict())
    assert (again.expected, again.total) == (4.0, 4.0)


def test_writing_is_guessed_from_weights_and_moments():
    module = nn.Linear(1000, 1000, bias=False)
    assert saving_seconds(module) == pytest.approx(2 * 3 * 4e6 / 200e6)


def test_a_module_that_only_predicts_is_timed_by_that():
    called = []
    module = SimpleNamespace(
        device=torch.device("cpu"), predict_logits=lambda image: called.append(image.shape)
    )
    assert predicted_seconds(module, volumes([(8, 8, 8)]), collate, spend=0.0, hopeless=1e9) >= 0
    assert called
