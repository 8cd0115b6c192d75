import random
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.callbacks import EarlyStopping

from medseg.errors import InputError
from medseg.training import clock as clock_module
from medseg.training.budget import duration
from medseg.training.clock import TrainingClock
from medseg.training.every import Every
from medseg.training.schedule import Constant


class Time:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


class Module(torch.nn.Module):
    progress = None
    device = torch.device("cpu")


def a_trainer(*, step=0, cases=1):
    return SimpleNamespace(
        global_step=step,
        should_stop=False,
        sanity_checking=False,
        val_check_batch=None,
        num_val_batches=[cases] if cases else [],
        val_dataloaders=None,
        early_stopping_callbacks=[],
        optimizers=[],
    )


def simulate(
    clock, time, *, step_seconds, validation_seconds, start_step=0, writing=0.0, predicted=None
):
    """Drive a clock as a trainer would; return the steps taken and when validations ran.

    Times are numbers, or functions of the step's or the validation's number. ``predicted``: what
    timing some cases says of a validation.
    """
    trainer, module = a_trainer(step=start_step), Module()
    if predicted is not None:
        clock._time_validation = lambda *_: setattr(clock.validation, "estimate", predicted)
    clock.on_train_start(trainer, module)
    validations, fractions = [], []
    while not trainer.should_stop:
        fractions.append(clock.fraction())
        number = trainer.global_step - start_step
        time.seconds += step_seconds(number) if callable(step_seconds) else step_seconds
        trainer.global_step += 1
        clock.on_train_batch_end(trainer, module)
        if trainer.val_check_batch == 1:
            time.seconds += writing  # last.ckpt
            clock.on_validation_start(trainer, module)
            took = validation_seconds
            time.seconds += took(len(validations)) if callable(took) else took
            validations.append(trainer.global_step)
            clock.on_validation_end(trainer, module)
            time.seconds += writing  # best.ckpt
            clock.settled()
    simulate.fractions = fractions
    return trainer.global_step, validations


def test_budget_counts_the_last_validation_in():
    time = Time()
    simulate(TrainingClock(budget=100, now=time), time, step_seconds=0.5, validation_seconds=1.5)
    assert time.seconds == pytest.approx(100, rel=0.02)


def test_budget_counts_the_writing_of_checkpoints_in():
    time = Time()
    clock = TrainingClock(budget=100, now=time)
    simulate(clock, time, step_seconds=0.5, validation_seconds=0.8, writing=0.6)
    assert time.seconds == pytest.approx(100, rel=0.005)


def test_budget_ends_at_the_nearest_step_not_the_next():
    time = Time()
    steps, _ = simulate(
        TrainingClock(budget=100, now=time), time, step_seconds=7, validation_seconds=0
    )
    assert steps == 14  # 98 s; another step would end at 105 s


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("first", [0.3, 30.0])
def test_jittering_steps_and_a_slow_first_one_end_within_two_percent(seed, first):
    time, rng = Time(), random.Random(seed)
    clock = TrainingClock(budget=240, now=time)
    _, validations = simulate(
        clock,
        time,
        step_seconds=lambda n: first if n == 0 else rng.choice([0.2, 0.3, 0.35, 3.0]),
        validation_seconds=lambda n: rng.uniform(5.5, 6.5),
        predicted=5.0,
    )
    assert validations[-1] and time.seconds == pytest.approx(240, rel=0.02)


def test_a_first_validation_slower_than_predicted_is_allowed_for_in_the_last():
    time = Time()
    clock = TrainingClock(budget=600, now=time)
    _, validations = simulate(clock, time, step_seconds=0.4, validation_seconds=20.0, predicted=8.0)
    assert len(validations) > 1 and time.seconds == pytest.approx(600, rel=0.02)


def test_without_an_earlier_validation_the_cases_are_timed_again_before_the_end():
    """The device was cold at the first timing, and the prediction twice too long."""
    time, said = Time(), []
    clock = TrainingClock(budget=20, now=time)

    def predict(*_):
        said.append(clock.elapsed)
        time.seconds += 0.1
        clock.validation.estimate = 8.0 if len(said) == 1 else 4.0

    clock._time_validation = predict
    trainer, module = a_trainer(), Module()
    clock.on_train_start(trainer, module)
    while not trainer.should_stop:
        time.seconds += 0.1
        trainer.global_step += 1
        clock.on_train_batch_end(trainer, module)
    assert len(said) == 2
    assert time.seconds + 4.0 == pytest.approx(20, rel=0.02)


def test_a_pause_during_a_validation_does_not_shorten_the_training():
    time = Time()
    clock = TrainingClock(budget=1000, now=time)
    trainer, module = a_trainer(cases=10), Module()
    clock.on_train_start(trainer, module)
    validations = 0
    while not trainer.should_stop:
        time.seconds += 1
        trainer.global_step += 1
        clock.on_train_batch_end(trainer, module)
        if trainer.val_check_batch == 1:
            clock.on_validation_start(trainer, module)
            for case in range(10):
                clock.on_validation_batch_start(trainer, module)
                time.seconds += 100 if validations == 0 and case == 3 else 0.5
                clock.on_validation_batch_end(trainer, module)
            validations += 1
            clock.on_validation_end(trainer, module)
    assert time.seconds == pytest.approx(1000, rel=0.02)


def test_a_machine_paused_beyond_the_budget_still_validates_once():
    time = Time()
    clock = TrainingClock(budget=100, now=time)
    steps, validations = simulate(
        clock, time, step_seconds=lambda n: 500 if n == 20 else 0.5, validation_seconds=2
    )
    assert steps == 21 and validations == [21]


def test_the_schedule_begins_after_a_slow_first_step_and_never_runs_backwards():
    time = Time()
    clock = TrainingClock(budget=300, now=time)
    simulate(
        clock,
        time,
        step_seconds=lambda n: 60 if n == 0 else 0.5,
        validation_seconds=4,
        predicted=4.0,
    )
    fractions = simulate.fractions
    assert fractions[1] == 0.0 and fractions[2] < 0.01
    assert fractions == sorted(fractions) and fractions[-1] > 0.99


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


def test_no_validation_leaves_less_time_than_it_takes():
    time = Time()
    clock = TrainingClock(budget=100, validate=Every(seconds=42), now=time)
    _, validations = simulate(clock, time, step_seconds=1, validation_seconds=8, predicted=8.0)
    assert len(validations) == 2  # after 42 s, and at the end; not again after 92 s
    assert time.seconds == pytest.approx(100, rel=0.02)


@pytest.mark.parametrize(("predicted", "least"), [(14, "30s"), (50, "2m"), (4000, "2h15m")])
def test_a_budget_too_short_for_one_validation_is_refused_with_the_least_one(predicted, least):
    time = Time()
    clock = TrainingClock(budget=5, now=time)
    clock._time_validation = lambda *_: setattr(clock.validation, "estimate", predicted)
    with pytest.raises(InputError, match=f"at least {least}") as caught:
        clock.on_train_start(a_trainer(cases=42), Module())
    assert "42 cases" in str(caught.value) and "validation_cases" in str(caught.value)


def test_the_least_budget_that_is_named_is_accepted():
    time = Time()
    clock = TrainingClock(budget=30, now=time)
    simulate(clock, time, step_seconds=0.2, validation_seconds=14, predicted=14)
    assert time.seconds == pytest.approx(30, rel=0.02)


def test_a_resumed_training_with_little_time_left_is_not_refused():
    time = Time()
    clock = TrainingClock(budget=100, now=time)
    clock.load_state_dict({**TrainingClock(budget=100).state_dict(), "elapsed": 98.0, "step": 9})
    steps, validations = simulate(
        clock, time, step_seconds=1, validation_seconds=20, start_step=9, predicted=20
    )
    assert validations == [] or validations == [10]
    assert steps <= 10


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
    second = TrainingClock(budget=100, now=time)
    second.load_state_dict({**first.state_dict(), "step": 30, "elapsed": 40.0})
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


def test_durations_read_as_recipes_write_them():
    assert [duration(s) for s in (0.2, 5, 60, 90, 3600, 7500)] == [
        *("1s", "5s", "1m", "1m30s", "1h", "2h5m")
    ]


def test_the_first_step_of_a_resumed_training_does_not_end_it_early():
    """It may have to compile the network again, and says nothing of the steps to come."""
    time = Time()
    clock = TrainingClock(budget=72, now=time)
    clock.load_state_dict({**TrainingClock(budget=72).state_dict(), "elapsed": 40.0, "step": 9})
    simulate(
        clock,
        time,
        step_seconds=lambda n: 30 if n == 0 else 1,
        validation_seconds=0,
        start_step=9,
    )
    assert time.seconds == pytest.approx(32)


def test_a_device_that_is_behind_is_waited_for_before_the_end_is_decided(monkeypatch):
    time, behind = Time(), [3.0]

    def wait(device):
        time.seconds += behind.pop() if behind else 0.0

    monkeypatch.setattr(clock_module, "wait_for", wait)
    clock = TrainingClock(budget=100, validate=Every(seconds=1000), now=time)
    simulate(clock, time, step_seconds=1, validation_seconds=2, predicted=2.0)
    assert time.seconds == pytest.approx(100, abs=1)


def early_stopping(**state):
    stop = EarlyStopping("val/dice", mode="max", patience=2, check_on_train_epoch_end=False)
    vars(stop).update(state)
    return stop


@pytest.mark.parametrize("limit", [400, 2000])
def test_a_training_that_stopped_early_is_extended_without_a_jump(limit):
    clock = TrainingClock(steps=limit)
    clock.load_state_dict({**TrainingClock(steps=1000).state_dict(), "step": 300})
    trainer, module = a_trainer(step=300), Module()
    stop = early_stopping(wait_count=2)
    trainer.early_stopping_callbacks = [stop]
    trainer.optimizers = [SimpleNamespace(param_groups=[{"lr": 0.25, "initial_lr": 1.0}])]
    module.schedule = Constant()
    clock.on_train_start(trainer, module)
    assert module.schedule(clock.fraction()) == pytest.approx(0.25)
    assert module.schedule(1.0) == pytest.approx(1.0)
    assert stop.wait_count == 0 and not trainer.should_stop


@pytest.mark.parametrize(("limit", "waited", "stops"), [(100, 2, True), (200, 0, False)])
def test_a_validation_after_the_checkpoint_counts_for_early_stopping(limit, waited, stops):
    clock = TrainingClock(budget=limit, now=Time())
    clock.load_state_dict({**TrainingClock(budget=100).state_dict(), "elapsed": 50.0, "step": 30})
    clock.validation_found = lambda step: {"step": step, "seconds": 53.0, "val/dice": 0.4}
    trainer = a_trainer(step=30)
    stop = early_stopping(wait_count=1, best_score=torch.tensor(0.5))
    trainer.early_stopping_callbacks = [stop]
    clock.on_train_start(trainer, Module())
    assert (stop.wait_count, trainer.should_stop) == (waited, stops)
    assert float(stop.best_score) == 0.5
    assert clock.elapsed == 53.0 and clock.validation.expected == 3.0
