import os
import signal

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from medseg.data.feed.cases import MemoryCase
from medseg.data.feed.datamodule import SegmentationDataModule
from medseg.errors import InputError, Interrupted
from medseg.labels import LabelScheme
from medseg.networks import UNet
from medseg.tasks import SegmentationTask
from medseg.training.checkpoint_io import AtomicCheckpointIO
from medseg.training.checkpoints import Checkpoints, StopAtSignal
from medseg.training.clock import TrainingClock
from medseg.training.every import Every

LABELS = LabelScheme({"background": 0, "thing": 1})


def cases(count=5):
    rng = np.random.default_rng(0)
    for i in range(count):
        label = np.zeros((12, 12, 12), np.uint8)
        label[3:9, 3 : 6 + i % 3, 4:9] = 1
        image = label[None] + rng.normal(0, 0.5, (1, 12, 12, 12))
        yield MemoryCase(f"case_{i}", image.astype(np.float32), label)


class Dropped(torch.nn.Module):
    """A network that draws from the global generator, so that a lost state would show."""

    def __init__(self):
        super().__init__()
        self.unet = UNet(spatial_dims=3, in_channels=1, num_classes=2, features=(4, 8))

    def forward(self, x):
        return self.unet(torch.nn.functional.dropout(x, 0.2, self.training))


class Act(pl.Callback):
    """Does something after a step, or in the middle of a validation."""

    def __init__(self, action, *, step=None, validation=None):
        self.action, self.step, self.validation = action, step, validation

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            self.action()

    def on_validation_batch_start(self, trainer, *_):
        if trainer.global_step == self.validation:
            self.action()


def fit(
    folder,
    *,
    steps=16,
    resume=False,
    act=None,
    steps_per_epoch=5,
    validate=6,
    val=2,
    accumulate=1,
    stop=None,
):
    pl.seed_everything(7, verbose=False)
    task = SegmentationTask(Dropped(), LABELS)
    data = SegmentationDataModule(
        list(cases()),
        list(cases(val)),
        patch_size=(8, 8, 8),
        batch_size=2,
        steps_per_epoch=steps_per_epoch,
        seed=7,
    )
    clock = TrainingClock(steps=steps, validate=Every(steps=validate))
    checkpoints = Checkpoints(folder / "checkpoints", clock, every=Every(steps=4))
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=-1,
        accumulate_grad_batches=accumulate,
        logger=False,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=None,
        val_check_interval=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[clock, *filter(None, (act, stop)), StopAtSignal(checkpoints), checkpoints],
        plugins=[AtomicCheckpointIO()],
    )
    trainer.fit(task, datamodule=data, ckpt_path=checkpoints.last if resume else None)
    return checkpoints


def state(checkpoints):
    return torch.load(checkpoints.last, weights_only=True)


def same_weights(one, other):
    one, other = state(one), state(other)
    assert one["global_step"] == other["global_step"]
    assert one["state_dict"].keys() == other["state_dict"].keys()
    return all(torch.equal(v, other["state_dict"][k]) for k, v in one["state_dict"].items())


class Killed(Exception):
    pass


def die():
    raise Killed


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return fit(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("step", [5, 7, 11, 14])
def test_a_killed_run_resumes_to_the_same_weights_bit_for_bit(tmp_path, whole, step):
    with pytest.raises(Killed):
        fit(tmp_path, act=Act(die, step=step))
    assert same_weights(whole, fit(tmp_path, resume=True))


def test_a_checkpoint_on_an_epochs_last_step_resumes_to_the_same_weights(tmp_path):
    straight = fit(tmp_path / "whole", steps_per_epoch=4)
    with pytest.raises(Killed):
        fit(tmp_path / "cut", steps_per_epoch=4, act=Act(die, step=9))
    assert same_weights(straight, fit(tmp_path / "cut", steps_per_epoch=4, resume=True))


def test_validations_come_where_due_and_are_remembered(whole):
    assert [entry["step"] for entry in whole.history()] == [6, 12, 16]


def test_ctrl_c_in_training_writes_last_and_resumes_to_the_same_weights(tmp_path, whole):
    with pytest.raises(Interrupted, match="after step 7"):
        fit(tmp_path, act=Act(interrupt, step=7))
    checkpoints = fit(tmp_path, resume=True)
    assert same_weights(whole, checkpoints)
    assert checkpoints.history() == [
        {**entry, "seconds": pytest.approx(0, abs=1e4)} for entry in whole.history()
    ]


@pytest.mark.parametrize("step", [6, 16])
def test_ctrl_c_in_a_validation_keeps_raw_and_averaged_weights_apart(tmp_path, whole, step):
    with pytest.raises(Interrupted, match="during a validation"):
        fit(tmp_path, act=Act(interrupt, validation=step))
    cut = state(Checkpoints(tmp_path / "checkpoints", TrainingClock(steps=1)))["state_dict"]
    raw = {k.removeprefix("network."): v for k, v in cut.items() if k.startswith("network.")}
    averaged = {k: v for k, v in cut.items() if k.startswith("averaged.module.")}
    assert raw.keys() == {k.removeprefix("averaged.module.") for k in averaged}
    assert any(
        not torch.equal(raw[k.removeprefix("averaged.module.")], v) for k, v in averaged.items()
    )
    checkpoints = fit(tmp_path, resume=True)
    assert same_weights(whole, checkpoints)
    assert [entry["step"] for entry in checkpoints.history()] == [6, 12, 16]


def test_the_best_checkpoint_is_the_one_of_the_best_validation(whole):
    history = whole.history()
    best = max(history, key=lambda entry: (entry["val/dice"], entry["step"]))
    assert torch.load(whole.best, weights_only=True)["global_step"] == best["step"]


def test_without_validation_cases_the_last_weights_are_the_best(tmp_path):
    checkpoints = fit(tmp_path, steps=5, val=0)
    last, best = state(checkpoints), torch.load(checkpoints.best, weights_only=True)
    assert best["global_step"] == last["global_step"] == 5
    assert checkpoints.history() == []


def test_without_validation_cases_checkpoints_are_written_no_more_often(tmp_path, monkeypatch):
    written = []
    save = Checkpoints._save_last
    monkeypatch.setattr(
        Checkpoints,
        "_save_last",
        lambda self, trainer: (written.append(trainer.global_step), save(self, trainer)),
    )
    fit(tmp_path, steps=16, val=0)
    assert written == [4, 6, 10, 12, 16]  # every 4, and where a validation would have been


def test_a_finished_run_that_is_resumed_changes_nothing(tmp_path, whole):
    before = state(whole)["state_dict"]
    again = fit(whole.folder.parent, resume=True)
    assert all(torch.equal(v, before[k]) for k, v in state(again)["state_dict"].items())


class Signal(Act):
    """Asks to stop after a batch, by its number."""

    def on_train_batch_end(self, trainer, *_):
        if trainer.fit_loop.epoch_loop.total_batch_idx + 1 == self.step:
            self.action()


def test_ctrl_c_while_gradients_accumulate_waits_for_the_step_and_resumes_bit_for_bit(tmp_path):
    options = {"steps": 6, "accumulate": 3, "steps_per_epoch": 6, "validate": 4}
    whole = fit(tmp_path / "whole", **options)
    with pytest.raises(Interrupted, match="after step 3"):
        fit(tmp_path / "cut", act=Signal(interrupt, step=8), **options)
    assert same_weights(whole, fit(tmp_path / "cut", resume=True, **options))


def test_early_stopping_remembers_every_validation_of_a_run_that_was_cut(tmp_path):
    def patient():
        return pl.callbacks.EarlyStopping(
            "val/dice", mode="max", patience=9, min_delta=1.0, check_on_train_epoch_end=False
        )

    straight, cut = patient(), patient()
    fit(tmp_path / "whole", stop=straight)
    with pytest.raises(Killed):
        fit(tmp_path / "cut", act=Act(die, step=7), stop=patient())
    fit(tmp_path / "cut", resume=True, stop=cut)
    assert cut.state_dict() == straight.state_dict() and cut.wait_count == 2


@pytest.mark.parametrize("content", ['[{"step', "3", "[1]", "[{}]"])
def test_a_damaged_record_of_validations_is_named(tmp_path, content):
    (tmp_path / "validations.json").write_text(content)
    kept = Checkpoints(tmp_path / "checkpoints", TrainingClock(steps=1))
    with pytest.raises(InputError, match=r"cannot be read") as error:
        kept.history()
    assert "validations.json" in str(error.value)
