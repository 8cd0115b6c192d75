from __future__ import annotations

import pytest

from medseg.tracking.phases import PHASES, phase_of, shares_of
from medseg.tracking.shares_table import shares_line
from medseg.tracking.step_watch import StepWatch
from medseg.tracking.stopwatch import HostStopwatch

NEXT = "[_TrainingEpochLoop].train_dataloader_next"
STEP = "[LightningModule]Task.optimizer_step"
TRAINING_STEP = "[Strategy]SingleDeviceStrategy.training_step"


@pytest.fixture
def watch():
    now = [0.0]
    made = StepWatch(HostStopwatch("other", now=lambda: now[0]))
    made.take = lambda seconds: now.__setitem__(0, now[0] + seconds)
    return made


@pytest.mark.parametrize(
    ("action", "phase"),
    [
        (NEXT, "loader"),
        ("[Strategy]SingleDeviceStrategy.batch_to_device", "transfer"),
        ("[LightningDataModule]Data.transfer_batch_to_device", "transfer"),
        ("[LightningModule]Task.on_after_batch_transfer", "augment"),
        (TRAINING_STEP, "forward"),
        ("[Strategy]DDPStrategy.backward", "backward"),
        (STEP, "optimizer"),
        ("optimizer_step", "optimizer"),
        ("[LightningModule]Task.configure_gradient_clipping", "optimizer"),
        ("[Callback]My.backward", None),
        ("[Callback]ModelCheckpoint{'monitor': None}.on_train_batch_end", None),
        ("run_training_batch", None),
    ],
)
def test_actions_of_lightning_open_phases(action, phase):
    assert phase_of(action) == phase
    assert phase is None or phase in PHASES


def test_a_phase_within_another_is_not_counted_twice(watch):
    watch.begin(STEP)
    watch.take(1)
    watch.begin(TRAINING_STEP)
    watch.take(2)
    watch.begin("loss", "loss")
    watch.take(4)
    watch.end("loss")
    watch.take(8)
    watch.end(TRAINING_STEP)
    watch.take(16)
    watch.end(STEP)
    watch.take(32)
    watch.step_done()
    assert watch.seconds == {"optimizer": 17.0, "forward": 10.0, "loss": 4.0, "other": 32.0}


def test_starting_loader_processes_is_waiting_for_the_loader(watch):
    watch.begin("run_training_epoch")
    watch.take(5)
    watch.begin(NEXT)
    watch.take(2)
    watch.end(NEXT)
    watch.take(1)
    watch.step_done()
    assert watch.seconds == {"loader": 7.0, "other": 1.0}


def test_a_validation_is_one_phase_whatever_runs_in_it(watch):
    watch.begin_validation()
    watch.take(1)
    watch.begin("[Strategy]SingleDeviceStrategy.batch_to_device")
    watch.begin("loss", "loss")
    watch.take(1)
    watch.end("loss")
    watch.end_validation()
    watch.take(3)
    watch.step_done()
    assert watch.seconds == {"validation": 2.0, "other": 3.0}


def test_what_an_error_left_open_ends_with_what_held_it(watch):
    watch.begin(STEP)
    watch.begin(TRAINING_STEP)
    watch.begin("loss", "loss")
    watch.end(STEP)
    watch.take(1)
    watch.begin(NEXT)
    watch.step_done()
    watch.take(1)
    watch.step_done()
    assert {name: took for name, took in watch.seconds.items() if took} == {"other": 2.0}


def test_the_first_step_sets_up(watch):
    watch.begin(TRAINING_STEP)
    watch.take(30)
    watch.end(TRAINING_STEP)
    watch.step_done()
    watch.set_up()
    watch.take(1)
    watch.step_done()
    assert watch.seconds == {"start": 30.0, "other": 1.0}


def test_shares_sum_to_one_and_nothing_to_zero():
    assert sum(shares_of({"loader": 3.0, "forward": 1.0}).values()) == pytest.approx(1)
    assert shares_of({"loader": 3.0, "forward": 1.0})["loader"] == 0.75
    assert set(shares_of({}).values()) == {0.0}


def test_the_line_leaves_out_what_takes_no_time():
    assert shares_line({"loader": 0.0001, "forward": 3.0, "backward": 6.0, "augment": 1.0}) == (
        "augment 10 % · forward 30 % · backward 60 %"
    )
    assert shares_line({}) == ""
