"""Rates fall from the head to the input by the stated factor, under every optimiser."""

import pytest
import torch
from torch import nn

from medseg.errors import InputError
from medseg.networks import UNet
from medseg.training.fused import optimizer_factory
from medseg.training.muon import Muon
from medseg.training.transfer import freeze, parameter_groups
from medseg.training.transfer.groups import decayed

STAGES = ["head", "decoder.0", "decoder.1", "encoder.2", "encoder.1", "encoder.0"]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return UNet(spatial_dims=2, in_channels=1, num_classes=2, features=(8, 12, 16))


def test_rates_follow_the_closed_form(network):
    groups = parameter_groups(network, lr=0.01, lr_decay=0.8)
    assert [group["name"] for group in groups] == STAGES
    assert [group["lr"] for group in groups] == pytest.approx([0.01 * 0.8**i for i in range(6)])
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in network.parameters())


def test_any_optimiser_takes_them(network):
    optimizer = torch.optim.SGD(parameter_groups(network, lr=0.1, lr_decay=0.5), momentum=0.9)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1 * 0.5**i for i in range(6)]


def test_what_is_frozen_is_in_no_group(network):
    freeze(network, "medium", last=1)
    assert [group["name"] for group in parameter_groups(network, lr=1.0)] == STAGES[:2]


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [
        (torch.optim.AdamW, {"lr": 1e-3}),
        (torch.optim.SGD, {"lr": 1e-2, "momentum": 0.9}),
        (torch.optim.Adam, {"lr": 1e-3, "amsgrad": True}),
        (torch.optim.RAdam, {}),
    ],
)
def test_the_optimisers_own_rate_is_the_heads(network, cls, arguments):
    optimizer = decayed(optimizer_factory(cls, arguments), network, 0.5)
    base = arguments.get("lr", 1e-3)
    assert [group["lr"] for group in optimizer.param_groups] == [base * 0.5**i for i in range(6)]
    assert [group["name"] for group in optimizer.param_groups] == STAGES


def test_muon_keeps_the_ratio_of_its_two_rates(network):
    make = optimizer_factory(Muon, {"lr": 0.02, "adamw_lr": 0.001})
    optimizer = decayed(make, network, 0.5)
    for group in optimizer.param_groups:
        base = 0.02 if group["orthogonal"] else 0.001
        assert group["lr"] == base * 0.5 ** STAGES.index(group["name"])
    assert {group["orthogonal"] for group in optimizer.param_groups} == {True, False}


def test_a_step_moves_each_stage_by_its_rate(network):
    before = [[p.detach().clone() for p in g["params"]] for g in parameter_groups(network, lr=1.0)]
    optimizer = decayed(optimizer_factory(torch.optim.SGD, {"lr": 0.1}), network, 0.8)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    for depth, (group, old) in enumerate(zip(optimizer.param_groups, before, strict=True)):
        for parameter, was in zip(group["params"], old, strict=True):
            torch.testing.assert_close(was - parameter, torch.full_like(was, 0.1 * 0.8**depth))


@pytest.mark.parametrize("cls", [torch.optim.AdamW, Muon])
def test_weights_decay_by_their_stages_rate(network, cls):
    optimizer = decayed(optimizer_factory(cls, {"lr": 0.1, "weight_decay": 0.3}), network, 0.5)
    before = [[p.detach().clone() for p in group["params"]] for group in optimizer.param_groups]
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for group, old in zip(optimizer.param_groups, before, strict=True):
        factor = 1 - 0.1 * 0.5 ** STAGES.index(group["name"]) * 0.3
        for parameter, was in zip(group["params"], old, strict=True):
            torch.testing.assert_close(parameter.detach(), was * factor)


def test_an_optimiser_that_refuses_its_fused_step_leaves_nothing_behind(network):
    class Refusing(torch.optim.AdamW):
        def __init__(self, params, *, fused=None, **options):
            super().__init__(params, fused=fused, **options)
            if fused:
                raise RuntimeError("not here")

    Refusing.__module__ = "torch.optim.refusing"
    optimizer = decayed(optimizer_factory(Refusing, {"lr": 1e-3}), network, 0.5)
    assert not any(group["fused"] for group in optimizer.param_groups)


@pytest.mark.parametrize("factor", [0.0, -0.5, 1.5])
def test_factors_out_of_range_are_refused(network, factor):
    with pytest.raises(InputError, match="factor on the learning rate"):
        parameter_groups(network, lr=1.0, lr_decay=factor)


def test_a_network_of_unknown_stages_has_one_rate_for_all():
    with pytest.raises(InputError, match="stages of Conv2d are not known"):
        parameter_groups(nn.Conv2d(1, 1, 1), lr=1.0)
