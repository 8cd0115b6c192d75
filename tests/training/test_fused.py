import copy

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from medseg.training.fused import optimizer_factory


def is_fused(optimizer):
    return bool(optimizer.param_groups[0].get("fused"))


@pytest.mark.parametrize("cls", [torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD])
def test_optimisers_with_a_fused_version_use_it(cls):
    assert is_fused(optimizer_factory(cls, {"lr": 0.1})(nn.Linear(2, 2).parameters()))


@pytest.mark.parametrize("said", [{"fused": False}, {"foreach": True}, {"differentiable": True}])
def test_what_the_user_says_wins(said):
    optimizer = optimizer_factory(torch.optim.AdamW, said)(nn.Linear(2, 2).parameters())
    assert not is_fused(optimizer)
    assert all(optimizer.param_groups[0][key] == value for key, value in said.items())


def test_optimisers_without_one_are_made_as_they_are():
    optimizer = optimizer_factory(torch.optim.RMSprop, {"lr": 0.1})(nn.Linear(2, 2).parameters())
    assert isinstance(optimizer, torch.optim.RMSprop)


def test_where_fused_is_refused_the_usual_one_is_made():
    class Picky(torch.optim.SGD):
        def __init__(self, params, lr=0.1, fused=None):
            if fused:
                raise RuntimeError("`fused=True` requires all the params to be on a GPU")
            super().__init__(params, lr=lr)

    Picky.__module__ = "torch.optim.picky"
    assert not is_fused(optimizer_factory(Picky, {})(nn.Linear(2, 2).parameters()))


class Regression(pl.LightningModule):
    def __init__(self, layer, make):
        super().__init__()
        self.layer, self.make = layer, make

    def training_step(self, batch, _):
        return 100 * self.layer(batch).square().mean()

    def configure_optimizers(self):
        return self.make(self.layer.parameters())


@pytest.mark.parametrize("precision", ["32", "bf16-mixed"])
def test_gradients_are_clipped_before_a_fused_step_under_mixed_precision_too(precision):
    torch.manual_seed(0)
    layer, data = nn.Linear(4, 4), torch.randn(6, 2, 4)
    results = []
    for fused in (None, False):
        arguments = {"lr": 0.05} if fused is None else {"lr": 0.05, "fused": False}
        module = Regression(copy.deepcopy(layer), optimizer_factory(torch.optim.SGD, arguments))
        trainer = pl.Trainer(
            accelerator="cpu",
            precision=precision,
            gradient_clip_val=0.5,
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, DataLoader(list(data), batch_size=2))
        results.append(module.layer.weight.detach())
    torch.testing.assert_close(*results)
    assert (results[0] - layer.weight).norm() <= 3 * 0.05 * 0.5 + 1e-6
