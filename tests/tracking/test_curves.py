from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pytorch_lightning as pl
import torch
from PIL import Image
from torch.utils.data import DataLoader

from medseg.tracking.curves import CurvesCallback, draw


def trainer(step, **metrics):
    return SimpleNamespace(
        global_step=step,
        log_every_n_steps=1,
        callback_metrics={k.replace("__", "/"): torch.tensor(v) for k, v in metrics.items()},
        sanity_checking=False,
        is_global_zero=True,
        state=SimpleNamespace(fn="fit"),
    )


def test_long_trainings_keep_few_points_evenly_spread(tmp_path):
    callback = CurvesCallback(tmp_path)
    for step in range(1, 5001):
        callback.on_train_batch_end(trainer(step, train__loss=1 / step), None)
    steps = [step for step, _ in callback.curves["train/loss"]]
    assert 200 < len(steps) <= 401
    assert len({b - a for a, b in pairwise(steps)}) == 1
    assert steps[-1] > 4900


def test_a_resumed_callback_goes_on_where_it_was_saved(tmp_path):
    one = CurvesCallback(tmp_path)
    for step in range(1, 900):
        one.on_train_batch_end(trainer(step, train__loss=0.5, lr=0.1), None)
    state = one.state_dict()
    torch.save(state, tmp_path / "state")
    two = CurvesCallback(tmp_path)
    two.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    for callback in (one, two):
        for step in range(900, 1000):
            callback.on_train_batch_end(trainer(step, train__loss=0.4, lr=0.1), None)
    assert two.curves == one.curves


def test_a_validation_draws_and_leaves_no_other_file(tmp_path):
    callback = CurvesCallback(tmp_path)
    callback.on_train_batch_end(trainer(1, train__loss=0.5, lr=0.1), None)
    callback.on_validation_end(trainer(1, val__dice=0.5, val__dice__a=float("nan")), None)
    assert [p.name for p in tmp_path.iterdir()] == ["progress.png"]
    with Image.open(tmp_path / "progress.png") as picture:
        assert picture.size == (1000, 400)


def test_nothing_logged_yet_draws_empty_axes(tmp_path):
    draw({}, tmp_path / "p.png", loss="train/loss", scores="val/dice")
    assert (tmp_path / "p.png").stat().st_size > 0


def test_a_picture_that_cannot_be_written_does_not_end_the_training(tmp_path, caplog):
    (tmp_path / "fold").write_text("a file where the folder should be")
    CurvesCallback(tmp_path / "fold").on_validation_end(trainer(1, val__dice=0.5), None)
    assert "progress.png was not written" in caplog.text


class Logged(pl.LightningModule):
    """Its loss is the number of the step."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch, batch_idx):
        loss = self.weight * 0 + self.global_step + 1
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def test_in_a_training_each_value_stands_once_at_its_own_step(tmp_path, monkeypatch):
    read, as_float = [], torch.Tensor.__float__
    monkeypatch.setattr(torch.Tensor, "__float__", lambda t: read.append(t) or as_float(t))
    curves = CurvesCallback(tmp_path)
    pl.Trainer(
        accelerator="cpu",
        max_steps=25,
        log_every_n_steps=10,
        logger=False,
        callbacks=[curves],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(Logged(), DataLoader(torch.zeros(25)))
    assert curves.curves["train/loss"] == [[1.0, 1.0], [10.0, 10.0], [20.0, 20.0]]
    assert len(read) == 3
