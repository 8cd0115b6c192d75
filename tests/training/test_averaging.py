import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

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


def test_it_agrees_with_torchs_averaged_model_buffers_and_names_included():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))
    ours = averaged_copy(network, 0.9)

    def update(averaged, current, count):
        weight = 1.0 - min(0.9, (1.0 + float(count)) / (10.0 + float(count)))
        torch._foreach_lerp_(averaged, current, weight)

    theirs = AveragedModel(network, multi_avg_fn=torch.no_grad()(update))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(12):
        network(torch.randn(2, 1, 6, 6)).square().mean().backward()
        optimizer.step()
        ours.update_parameters(network)
        theirs.update_parameters(network)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-6, atol=1e-7)


def test_a_loaded_average_goes_on_with_its_count():
    network = nn.Linear(2, 2)
    straight, first = averaged_copy(network, 0.9), averaged_copy(network, 0.9)
    second = averaged_copy(network, 0.9)
    for step in range(6):
        nn.init.constant_(network.weight, float(step))
        straight.update_parameters(network)
        if step < 3:
            first.update_parameters(network)
            continue
        if step == 3:
            second.load_state_dict(first.state_dict())
        second.update_parameters(network)
    assert int(second.n_averaged) == 6
    assert torch.equal(straight.module.weight, second.module.weight)


def test_it_follows_a_network_that_moved_or_was_copied():
    network = nn.BatchNorm1d(2)
    twin = averaged_copy(network, 0.9)
    twin.update_parameters(network)
    other = copy.deepcopy(twin)
    network.double(), twin.double()
    network.running_mean.fill_(3.0)
    twin.update_parameters(network)
    assert torch.equal(twin.module.running_mean, network.running_mean)
    assert float(other.module.running_mean.sum()) == 0.0
