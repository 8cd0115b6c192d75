from __future__ import annotations

from itertools import chain

import pytest
from torch.utils.data import DataLoader

from medseg.data.feed import StepSampler
from medseg.data.feed.sampler import CaseSampler
from medseg.errors import InputError


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


@pytest.mark.parametrize(("batch_size", "world_size"), [(6, 3), (5, 2), (7, 4), (3, 3)])
def test_processes_together_draw_what_one_draws_step_by_step(batch_size, world_size):
    def steps(rank, world_size):
        sampler = StepSampler(
            batch_size=batch_size, steps_per_epoch=3, rank=rank, world_size=world_size
        )
        each, items = len(sampler) // 3, list(sampler)
        assert len(items) == len(sampler)
        return [items[i * each : (i + 1) * each] for i in range(3)]

    parts = [steps(rank, world_size) for rank in range(world_size)]
    together = [list(chain(*(part[i] for part in parts))) for i in range(3)]
    assert together == steps(0, 1)
    sizes = [len(part[0]) for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_a_batch_smaller_than_the_number_of_processes_is_refused():
    with pytest.raises(InputError, match="cannot be split between 3 processes"):
        StepSampler(batch_size=2, steps_per_epoch=1, rank=0, world_size=3)


@pytest.mark.parametrize("count", [4, 5, 7])
def test_cases_are_shared_out_and_none_comes_twice(count):
    shares = [list(CaseSampler(count, rank=rank, world_size=4)) for rank in range(4)]
    assert sorted(chain(*shares)) == list(range(count))
    assert [len(CaseSampler(count, rank=r, world_size=4)) for r in range(4)] == list(
        map(len, shares)
    )


def test_each_process_takes_all_cases_where_there_are_fewer_than_processes():
    assert [list(CaseSampler(2, rank=rank, world_size=3)) for rank in range(3)] == [[0, 1]] * 3


def test_numbers_below_one_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        StepSampler(batch_size=0, steps_per_epoch=1)
