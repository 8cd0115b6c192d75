from types import SimpleNamespace

import pytest

from medseg.training.clock import Every, TrainingClock


class Time:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


def simulate(clock, time, *, step_seconds, validation_seconds, start_step=0):
    """Drive a clock as a trainer would; return the steps taken and when validations ran."""
    trainer = SimpleNamespace(
        global_step=start_step,
        should_stop=False,
        sanity_checking=False,
        val_check_batch=None,
        num_val_batches=[1],
        val_dataloaders=None,
    )
    module = SimpleNamespace(progress=None)
    clock.on_train_start(trainer, module)
    validations = []
    while not trainer.should_stop:
        time.seconds += step_seconds
        trainer.global_step += 1
        clock.on_train_batch_end(trainer, module)
        if trainer.val_check_batch == 1:
            clock.on_validation_start(trainer, module)
            time.seconds += validation_seconds
            validations.append(trainer.global_step)
            clock.on_validation_end(trainer, module)
    return trainer.global_step, validations


def test_budget_counts_the_last_validation_in():
    time = Time()
    simulate(TrainingClock(budget=100, now=time), time, step_seconds=0.5, validation_seconds=1.5)
    assert time.seconds == pytest.approx(100, rel=0.02)


def test_budget_keeps_validation_under_a_tenth_of_the_time_but_for_the_last():
    time = Time()
    _, validations = simulate(
        TrainingClock(budget=100, now=time), time, step_seconds=0.5, validation_seconds=4
    )
    assert 2 <= len(validations) <= 3


def test_a_validation_that_crosses_the_limit_ends_the_training():
    time = Time()
    clock = TrainingClock(budget=10, validate=Every(steps=2), now=time)
    steps, validations = simulate(clock, time, step_seconds=1, validation_seconds=30)
    assert steps == 2 and validations == [2]


def test_steps_end_exactly_with_ten_validations():
    time = Time()
    steps, validations = simulate(
        TrainingClock(steps=40, now=time), time, step_seconds=1, validation_seconds=1
    )
    assert steps == 40
    assert validations == list(range(4, 41, 4))


def test_validate_every_n_steps_is_kept_and_the_end_is_validated():
    time = Time()
    clock = TrainingClock(steps=25, validate=Every(steps=10), now=time)
    assert simulate(clock, time, step_seconds=1, validation_seconds=1)[1] == [10, 20, 25]


def test_a_resumed_clock_goes_on_where_it_stopped():
    time = Time()
    first = TrainingClock(budget=100, now=time)
    first._step, first._before = 30, 40.0
    second = TrainingClock(budget=100, now=time)
    second.load_state_dict(first.state_dict())
    simulate(second, time, step_seconds=1, validation_seconds=1, start_step=30)
    assert time.seconds == pytest.approx(60, abs=2)


def test_the_schedule_reaches_its_end_when_training_stops():
    time = Time()
    clock = TrainingClock(budget=50, now=time)
    simulate(clock, time, step_seconds=0.5, validation_seconds=2)
    assert clock.fraction() == 1.0


@pytest.mark.parametrize("limits", [{}, {"budget": 1, "steps": 1}, {"budget": 0}, {"steps": -1}])
def test_a_missing_double_or_empty_limit_is_refused(limits):
    with pytest.raises(ValueError):
        TrainingClock(**limits)
