import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from medseg.tracking import OpenLoggers
from medseg.tracking.csv_logger import CsvLogger


class Task(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def training_step(self, batch, batch_idx):
        self.log("train/loss", loss := (self.weight * batch).square().mean())
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Refuses(pl.Callback):
    def on_train_start(self, trainer, pl_module):
        raise ValueError("too short")


def fit(folder, *before):
    def opened():
        return [CsvLogger(folder)]

    trainer = pl.Trainer(
        max_steps=2,
        accelerator="cpu",
        logger=False,
        log_every_n_steps=1,
        callbacks=[*before, OpenLoggers(opened)],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Task(), DataLoader(torch.ones(2, 4)))


def test_a_training_logs_from_its_first_step(tmp_path):
    fit(tmp_path)
    head, *rows = (tmp_path / "progress.csv").read_text().splitlines()
    assert "train/loss" in head and len(rows) == 2


def test_a_training_that_is_refused_opens_nothing(tmp_path):
    try:
        fit(tmp_path / "fold_0", Refuses())
    except ValueError:
        assert not (tmp_path / "fold_0").exists()
    else:
        raise AssertionError("it was not refused")
