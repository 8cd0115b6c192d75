from types import SimpleNamespace

import pytest
import torch

from medseg.build.fitted import Fitted
from medseg.errors import InputError
from medseg.planning.fitting import Load
from medseg.recipe import load_text
from medseg.stages import forecast
from medseg.training.dry_step import Measured


def test_a_network_that_cannot_be_built_leaves_the_random_numbers_alone(monkeypatch):
    def fail(*_, **__):
        torch.rand(1)
        raise InputError("no such network")

    monkeypatch.setattr("medseg.build.task.build_network", fail)
    before = torch.get_rng_state()
    with pytest.raises(InputError, match="no such network"):
        forecast.run_folder_bytes(load_text("seed: 1"), None, None, None)
    assert torch.equal(torch.get_rng_state(), before)


def test_one_process_predicts_what_several_validate_together(monkeypatch, tmp_path):
    monkeypatch.setattr(forecast, "_preparation", lambda *_: 0.0)
    monkeypatch.setattr(forecast, "_windows", lambda *_: 30.0)
    found = SimpleNamespace(cases=range(20))
    guesses = []
    for devices, share in ((1, 4), (4, 1)):
        words = ["trainer.steps=10", f"trainer.devices={devices}", "data.folds=5"]
        recipe = load_text("seed: 1", overrides=words)
        # A patch takes 0.1 s, of however many a batch is.
        fitted = Fitted(Load((16,) * 3, share), Measured(1.0, 0.1 * share, 1000))
        plan = SimpleNamespace(batch_size=4)
        guesses.append(forecast.forecast(recipe, tmp_path, None, plan, found, fitted))
    one, four = guesses
    assert one.validation == pytest.approx(4 * 30 * 0.1)
    assert four.validation == pytest.approx(one.validation / 4)
    # The four cases that were held out are predicted by one process, either way.
    for guess in guesses:
        assert guess.whole - guess.training == pytest.approx(4 * 30 * 0.1)
