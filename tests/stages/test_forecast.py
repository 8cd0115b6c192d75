import pytest
import torch

from medseg.errors import InputError
from medseg.recipe import load_text
from medseg.stages import forecast


def test_a_network_that_cannot_be_built_leaves_the_random_numbers_alone(monkeypatch):
    def fail(*_, **__):
        torch.rand(1)
        raise InputError("no such network")

    monkeypatch.setattr("medseg.build.task.build_network", fail)
    before = torch.get_rng_state()
    with pytest.raises(InputError, match="no such network"):
        forecast.run_folder_bytes(load_text("seed: 1"), None, None, None)
    assert torch.equal(torch.get_rng_state(), before)
