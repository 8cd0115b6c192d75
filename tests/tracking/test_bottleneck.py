"""Trainings whose phases take known times."""

from __future__ import annotations

import csv
import json
import time

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.profilers import SimpleProfiler
from torch import nn
from torch.utils.data import DataLoader

from medseg.tracking import BottleneckCallback, TrainingProgress
from medseg.tracking.csv_logger import CsvLogger

SLOW = 0.02  # seconds; the rest of a step takes about one thousandth


class Loss(nn.Module):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(self.seconds)
        return x.square().mean()


class Task(pl.LightningModule):
    def __init__(self, **slow: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))
        self.slow = slow
        self.loss = Loss(slow.get("loss", 0.0))

    def _take(self, phase: str) -> None:
        time.sleep(self.slow.get(phase, 0.0))

    def transfer_batch_to_device(self, batch, device, dataloader_idx):
        self._take("transfer")
        return batch

    def on_after_batch_transfer(self, batch, dataloader_idx):
        if self.trainer.training:
            self._take("augment")
        return batch

    def training_step(self, batch, batch_idx):
        self._take("forward")
        loss = self.loss(self.weight * batch)
        self.log("train/loss", loss)
        return loss

    def on_before_backward(self, loss):
        self._take("backward")

    def optimizer_step(self, *args, **kwargs):
        super().optimizer_step(*args, **kwargs)
        self._take("optimizer")

    def on_train_batch_end(self, *_):
        self._take("other")

    def validation_step(self, batch, batch_idx):
        self._take("validation")

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Samples(torch.utils.data.Dataset):
    def __init__(self, count: int, seconds: float = 0.0) -> None:
        self.count, self.seconds = count, seconds

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> torch.Tensor:
        time.sleep(self.seconds)
        return torch.full((4,), float(index))


def fit(task, callback, *, steps=10, loading=0.0, callbacks=(), **options):
    options = {"logger": False, "enable_checkpointing": False, **options}
    trainer = pl.Trainer(
        max_steps=steps,
        accelerator="cpu",
        callbacks=[*callbacks, callback],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )
    val = DataLoader(Samples(2)) if "validation" in getattr(task, "slow", ()) else None
    trainer.fit(task, DataLoader(Samples(5, loading)), val)
    return trainer


@pytest.mark.parametrize(
    "phase",
    ["loader", "transfer", "augment", "forward", "loss", "backward", "optimizer", "other"],
)
def test_time_goes_to_the_phase_that_takes_it(phase):
    callback = BottleneckCallback(quiet=True)
    loading = SLOW if phase == "loader" else 0.0
    fit(Task(**{phase: SLOW}), callback, loading=loading)
    assert callback.steps == 10
    seconds = dict(callback.seconds)
    # The first step is kept apart; what comes after the callback belongs to the next one.
    assert seconds.pop("start") >= (0 if phase == "other" else SLOW)
    assert seconds[phase] >= 9 * SLOW
    assert max(seconds, key=seconds.get) == phase
    assert sum(callback.shares.values()) == pytest.approx(1)


def test_validation_is_one_phase():
    callback = BottleneckCallback(quiet=True)
    fit(Task(validation=SLOW), callback)
    assert callback.seconds["validation"] >= 4 * SLOW  # two epochs of two cases
    assert "Validation takes" in callback.advice
    assert "trainer.validate_every" in callback.advice


def test_the_times_sum_to_the_wall_clock():
    callback = BottleneckCallback(quiet=True)
    began = time.perf_counter()
    fit(Task(forward=SLOW, optimizer=SLOW), callback)
    took = time.perf_counter() - began
    assert 20 * SLOW <= sum(callback.seconds.values()) <= took


def test_manual_optimisation_is_told_apart():
    class Manual(Task):
        automatic_optimization = False

        def training_step(self, batch, batch_idx):
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(self.loss(self.weight * batch))
            optimizer.step()

    callback = BottleneckCallback(quiet=True)
    fit(Manual(backward=SLOW), callback)
    assert callback.seconds["backward"] >= 9 * SLOW
    assert callback.seconds["optimizer"] > 0


def test_a_module_without_a_loss_counts_it_as_forward():
    class Functional(Task):
        def training_step(self, batch, batch_idx):
            return (self.weight * batch).square().mean()

    task = Functional(forward=0.0)
    task.loss = None
    callback = BottleneckCallback(quiet=True)
    fit(task, callback)
    assert "loss" not in callback.seconds
    assert callback.seconds["forward"] > 0


def test_shares_are_logged_and_kept_in_a_file(tmp_path):
    callback = BottleneckCallback(tmp_path, quiet=True)
    fit(Task(loss=SLOW), callback, logger=CsvLogger(tmp_path), log_every_n_steps=5)
    with (tmp_path / "progress.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["time/loss"]]
    assert len(rows) == 2
    assert all(row["train/loss"] for row in rows), "one row a step"
    shares = {k: float(v) for k, v in rows[-1].items() if k.startswith("time/")}
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
    assert max(shares, key=shares.get) == "time/loss"
    report = json.loads((tmp_path / "time.json").read_text())
    assert report["steps"] == 10
    assert report["advice"] == callback.advice
    assert sum(p["share"] for p in report["phases"].values()) == pytest.approx(1, abs=1e-3)
    assert report["seconds"] == pytest.approx(sum(callback.seconds.values()), abs=1e-3)


def test_a_table_and_one_sentence_end_the_training(capsys):
    callback = BottleneckCallback()
    fit(Task(augment=SLOW), callback)
    printed = capsys.readouterr().err
    assert "10 steps went" in printed
    assert "augmentation" in printed
    assert printed.rstrip().endswith(callback.advice)
    assert "augmentation=light" in callback.advice
    fit(Task(), BottleneckCallback(quiet=True))
    assert capsys.readouterr().err == ""


def test_one_slow_validation_is_blamed_on_what_limits_the_training():
    callback = BottleneckCallback(limit="trainer.steps", quiet=True)
    fit(Task(validation=0.3), callback, steps=5)
    assert callback.validations == callback.state_dict()["validations"] == 1
    assert "there was but one" in callback.advice and "trainer.steps" in callback.advice
    fit(Task(validation=0.3), callback, steps=10)
    assert callback.validations == 3 and "trainer.validate_every" in callback.advice


def test_what_went_by_before_the_first_step_counts_to_the_start():
    callback = BottleneckCallback(elapsed=lambda: 100.0, quiet=True)
    began = time.perf_counter()
    fit(Task(), callback)
    took = time.perf_counter() - began
    assert 100 < sum(callback.seconds.values()) < 100 + took
    assert callback.seconds["start"] > 100


def test_the_line_is_there_while_a_training_runs():
    lines = []

    class Look(pl.Callback):
        def on_train_batch_end(self, *_):
            lines.append(callback.line())

    callback = BottleneckCallback(quiet=True)
    fit(Task(forward=0.002), callback, callbacks=[Look()])
    assert "forward" in lines[-1]


def test_a_resumed_training_adds_to_the_times(tmp_path):
    first = BottleneckCallback(quiet=True)
    trainer = fit(Task(), first)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    second = BottleneckCallback(quiet=True)
    again = pl.Trainer(
        max_steps=15,
        accelerator="cpu",
        callbacks=[second],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    task, loader = Task(), DataLoader(Samples(5))
    again.fit(task, loader, ckpt_path=str(tmp_path / "last.ckpt"), weights_only=True)
    assert second.steps == 15
    assert all(second.seconds[name] >= took for name, took in first.seconds.items())


def test_the_trainers_own_profiler_still_works_and_comes_back():
    profiler = SimpleProfiler()
    trainer = fit(Task(), BottleneckCallback(quiet=True), profiler=profiler)
    assert trainer.profiler is profiler
    assert len(profiler.recorded_durations["run_training_batch"]) == 10
    assert not profiler.current_actions


def test_the_profiler_and_the_loss_come_back_after_an_error():
    class Broken(Task):
        def training_step(self, batch, batch_idx):
            raise RuntimeError("broken")

    task, callback = Broken(), BottleneckCallback(quiet=True)
    trainer = None

    class Keep(pl.Callback):
        def on_fit_start(self, its_trainer, *_):
            nonlocal trainer
            trainer = its_trainer

    with pytest.raises(RuntimeError, match="broken"):
        fit(task, callback, callbacks=[Keep()])
    assert type(trainer.profiler).__name__ == "PassThroughProfiler"
    assert not task.loss._forward_hooks
    assert not task.loss._forward_pre_hooks


@pytest.mark.parametrize("method", ["begin", "end", "step_done", "settle", "begin_validation"])
def test_a_measurement_that_fails_never_stops_a_training(method, monkeypatch, caplog):
    def fail(*_, **__):
        raise RuntimeError("no such clock")

    monkeypatch.setattr(f"medseg.tracking.step_watch.StepWatch.{method}", fail)
    callback = BottleneckCallback(quiet=True)
    trainer = fit(Task(validation=0.0), callback)
    assert trainer.global_step == 10
    assert [r.message for r in caplog.records if "no such clock" in r.message]
    assert callback.advice == ""


def test_a_full_disk_never_stops_a_training(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    callback = BottleneckCallback(tmp_path / "file" / "folder", quiet=True)
    trainer = fit(Task(), callback)
    assert trainer.global_step == 10
    assert "not measured" in caplog.text


def test_the_display_shows_the_line(monkeypatch):
    import io

    from rich.console import Console

    out = io.StringIO()
    callback = BottleneckCallback(quiet=True)
    bar = TrainingProgress(
        lambda: 0.5,
        console=Console(file=out, force_terminal=True, width=100),
        note=callback.line,
    )
    monkeypatch.setattr("medseg.tracking.progress._REDRAW_SECONDS", 0.0)
    fit(Task(forward=SLOW), callback, callbacks=[bar])
    assert "forward" in out.getvalue()
