from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from medseg.tracking.progress import TrainingProgress, clock


def trainer(**metrics):
    return SimpleNamespace(
        is_global_zero=True,
        sanity_checking=False,
        state=SimpleNamespace(fn="fit"),
        global_step=12,
        num_val_batches=[3],
        callback_metrics={k.replace("__", "/"): torch.tensor(v) for k, v in metrics.items()},
    )


def drive(bar, trainer):
    bar.on_train_start(trainer, None)
    for _ in range(3):
        bar.on_train_batch_end(trainer, None)
    bar.on_validation_start(trainer, None)
    bar.on_validation_batch_end(trainer, None)
    bar.on_validation_end(trainer, None)
    bar.teardown(trainer, None, "fit")


METRICS = {
    "train__loss": 0.4321,
    "val__dice": 0.7,
    "val__dice__anterior": 0.72,
    "val__dice__posterior": 0.68,
}


def test_a_log_file_gets_one_line_per_validation():
    out = io.StringIO()
    console = Console(file=out, force_terminal=False, width=40)
    drive(TrainingProgress(lambda: 0.425, console=console), trainer(**METRICS))
    (line,) = out.getvalue().splitlines()
    assert line.split() == [
        *("42%", "0:00", "step", "12", "loss", "0.432", "dice", "0.700"),
        *("(anterior", "0.720,", "posterior", "0.680)"),
    ]


def test_a_terminal_gets_a_bar():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    drive(TrainingProgress(lambda: 0.425, console=console), trainer(**METRICS))
    assert "training" in out.getvalue()
    assert "validating" in out.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_the_display_counts_from_the_start_of_the_budget(terminal):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120)
    drive(TrainingProgress(lambda: 0.5, elapsed=lambda: 83.0, console=console), trainer(**METRICS))
    assert "1:23" in out.getvalue()
    assert "0:01:23" in out.getvalue() or not terminal


def test_quiet_says_nothing():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    drive(TrainingProgress(lambda: 0.5, quiet=True, console=console), trainer(**METRICS))
    assert out.getvalue() == ""


def test_a_training_without_validation_is_no_error():
    out = io.StringIO()
    drive(TrainingProgress(lambda: 0.0, console=Console(file=out, force_terminal=True)), trainer())


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3661, "1:01:01")]
)
def test_clock_reads_as_on_a_wall(seconds, text):
    assert clock(seconds) == text
