from __future__ import annotations

import pytest
from torch.utils.data import DataLoader

from medseg.data.feed import StepSampler


def test_a_step_always_draws_the_same_items():
    sampler = StepSampler(batch_size=2, steps_per_epoch=3)
    assert list(sampler) == [0, 1, 2, 3, 4, 5]
    sampler.set_epoch(2)
    assert list(sampler) == [12, 13, 14, 15, 16, 17]


def test_seek_yields_the_rest_of_the_epoch_once_and_then_whole_epochs():
    sampler = StepSampler(batch_size=2, steps_per_epoch=3)
    sampler.seek(4)
    assert list(sampler) == [8, 9, 10, 11]
    sampler.set_epoch(2)
    assert list(sampler) == [12, 13, 14, 15, 16, 17]


def test_seek_survives_that_the_trainer_sets_the_epoch_it_lies_in():
    sampler = StepSampler(batch_size=1, steps_per_epoch=3)
    sampler.seek(5)
    sampler.set_epoch(1)
    assert list(sampler) == [5]


def test_a_new_training_after_a_resumed_one_starts_whole():
    sampler = StepSampler(batch_size=1, steps_per_epoch=3)
    sampler.load_state_dict({"step": 2})
    assert list(sampler) == [2]
    sampler.set_epoch(0)
    assert list(sampler) == [0, 1, 2]


def test_each_pass_is_the_next_epoch():
    sampler = StepSampler(batch_size=1, steps_per_epoch=2)
    assert [list(sampler) for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]


def test_a_position_has_the_last_word():
    done = 5
    sampler = StepSampler(batch_size=1, steps_per_epoch=4, position=lambda: done)
    sampler.set_epoch(7)
    assert list(sampler) == [5, 6, 7]
    done = 8
    assert list(sampler) == [8, 9, 10, 11]


def test_the_length_is_the_whole_epoch_even_in_the_middle_of_it():
    sampler = StepSampler(batch_size=2, steps_per_epoch=5)
    sampler.seek(3)
    assert len(DataLoader(range(100), batch_size=2, sampler=sampler)) == 5


def test_ranks_share_the_items_out():
    items = [
        list(StepSampler(batch_size=2, steps_per_epoch=2, rank=rank, world_size=3))
        for rank in range(3)
    ]
    assert items[1] == [2, 3, 8, 9]
    assert sorted(items[0] + items[1] + items[2]) == list(range(12))


def test_numbers_below_one_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        StepSampler(batch_size=0, steps_per_epoch=1)
