import random

import numpy as np
import torch

from medseg.training import rng


def draw():
    return random.random(), random.gauss(0, 1), np.random.rand(), torch.rand(2).tolist()


def test_restored_generators_repeat_the_same_numbers():
    random.gauss(0, 1)  # leaves half of a pair behind
    states = rng.capture()
    first = draw()
    rng.restore(states)
    assert draw() == first


def test_states_pass_weights_only_loading(tmp_path):
    torch.save(rng.capture(), tmp_path / "rng.pt")
    states = torch.load(tmp_path / "rng.pt", weights_only=True)
    rng.restore(states)
    first = draw()
    rng.restore(states)
    assert draw() == first
