import pytest
import torch
from torch import nn

from medseg.training.averaging import averaged_copy


def test_average_follows_the_closed_form_with_a_warmed_up_decay():
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(0.0)
    twin = averaged_copy(network, 0.5)
    expected = None
    for n in range(30):
        network.weight.data.fill_(float(n))
        twin.update_parameters(network)
        decay = min(0.5, (1 + n) / (10 + n))
        expected = float(n) if expected is None else decay * expected + (1 - decay) * n
        assert float(twin.module.weight.detach()) == pytest.approx(expected, rel=1e-5)


def test_averaged_weights_are_not_trained():
    assert not any(p.requires_grad for p in averaged_copy(nn.Linear(2, 2), 0.9).parameters())


def test_a_decay_of_one_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        averaged_copy(nn.Linear(2, 2), 1.0)


def test_averaging_leaves_the_raw_weights_alone():
    network = nn.Linear(2, 2)
    before = network.weight.detach().clone()
    averaged_copy(network, 0.9).update_parameters(network)
    assert torch.equal(network.weight, before)
