"""What holds for each network whose stages are its authors' and not the plan's."""

from __future__ import annotations

import json

import pytest
import torch

from medseg.errors import InputError
from medseg.networks.needs import needs
from medseg.networks.registry import create, plan_arguments, record, resolve
from medseg.networks.wiring import STRUCTURE, ignored

# name -> tiny arguments; sizes it takes and sizes it does not, in 2D and in 3D
NETWORKS = {
    "segresnet": (
        {"init_filters": 8, "blocks_down": [1, 1, 1]},
        {2: [(4, 4), (8, 20)], 3: [(4, 4, 4), (4, 8, 20)]},
        {2: [(2, 4), (8, 10)], 3: [(4, 4, 2), (6, 8, 8)]},
    ),
    "swin_unetr": (
        {"feature_size": 12, "depths": [1, 2, 1, 1], "window_size": 3},
        {2: [(32, 64), (96, 32)], 3: [(32, 32, 64)]},
        {2: [(32, 32), (48, 64)], 3: [(32, 32, 32), (32, 64, 16)]},
    ),
    "unetr": (
        {"hidden_size": 12, "mlp_dim": 12, "num_heads": 2, "feature_size": 4},
        {2: [(16, 16), (16, 80)], 3: [(16, 16, 16), (16, 32, 16)]},
        {2: [(8, 16), (24, 32)], 3: [(16, 16, 20)]},
    ),
    "mednext": (
        {"init_filters": 2},
        {2: [(16, 32), (48, 16)], 3: [(16, 16, 32)]},
        {2: [(16, 16), (24, 32)], 3: [(16, 16, 16), (16, 32, 8)]},
    ),
    "highres_net": (
        {"features": [2, 5], "dilations": [1, 2], "blocks_per_group": 1},
        {2: [(1, 2), (7, 5)], 3: [(1, 1, 2), (3, 5, 7)]},
        {2: [(1, 1)], 3: [(1, 1, 1)]},
    ),
}
TAKEN = [(name, size) for name, row in NETWORKS.items() for d in (2, 3) for size in row[1][d]]
REFUSED = [(name, size) for name, row in NETWORKS.items() for d in (2, 3) for size in row[2][d]]


def wire(name, size, **arguments):
    dims = len(size)
    return plan_arguments(
        name,
        resolve(name),
        spatial_dims=dims,
        in_channels=2,
        num_classes=3,
        patch_size=size,
        strides=[1, 2, 2],
        kernels=[3, 3, 3],
        features=[4, 6, 8],
        arguments={**NETWORKS[name][0], **arguments},
    )


def build(name, size, **arguments):
    torch.manual_seed(0)
    return create(name, wire(name, size, **arguments))


@pytest.mark.parametrize(("name", "size"), TAKEN)
def test_a_size_that_needs_allows_gives_logits_of_that_size_and_trains_every_weight(name, size):
    assert needs(name, NETWORKS[name][0], spatial_dims=len(size)).problem(size) is None
    network = build(name, size)
    logits = network(torch.randn(1, 2, *size))
    assert logits.shape == (1, 3, *size)
    assert torch.isfinite(logits).all()
    logits.square().mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key


@pytest.mark.parametrize(("name", "size"), REFUSED)
def test_a_size_that_needs_refuses_is_refused_by_the_network_in_words(name, size):
    wanted = needs(name, NETWORKS[name][0], spatial_dims=len(size))
    assert wanted.problem(size)
    assert wanted.problem(wanted.enlarged(size)) is None
    with pytest.raises(InputError, match="cannot take this patch"):
        wire(name, size)
    network = build(name, wanted.enlarged(size))
    with pytest.raises(InputError):
        network(torch.zeros(1, 2, *size))


@pytest.mark.parametrize(("name", "size"), REFUSED)
def test_a_refused_size_would_indeed_not_work(name, size):
    wanted = needs(name, NETWORKS[name][0], spatial_dims=len(size))
    network = build(name, wanted.enlarged(size)).train()
    x = torch.randn(1, 2, *size)
    with pytest.raises((RuntimeError, ValueError)) as error:
        unchecked(network, x)
    assert not isinstance(error.value, InputError)


def unchecked(network, x):
    """Run the network past its own check of the input."""
    above = type(network).__mro__[1]
    if above is torch.nn.Module:
        return network.head(network.blocks(network.stem(x)))
    return above.forward(network, x)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_checkpoint_rebuilds_the_network(name):
    size = NETWORKS[name][1][3][-1]
    arguments = wire(name, size)
    stored = json.loads(json.dumps(record(name, arguments)))
    network, other = build(name, size).eval(), create(**stored).eval()
    assert type(other) is resolve(name)
    assert record(**stored) == stored
    other.load_state_dict(network.state_dict())
    x = torch.randn(1, 2, *size)
    assert torch.equal(network(x), other(x))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_sample_does_not_depend_on_its_batch(name):
    size = NETWORKS[name][1][2][-1]
    network = build(name, size)
    x = torch.randn(2, 2, *size)
    assert torch.allclose(network(x)[1:], network(x[1:]), atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_plans_stages_are_ignored_and_that_is_said(name):
    size = NETWORKS[name][1][2][-1]
    assert ignored(name) == STRUCTURE
    assert not {"strides", "kernels"} & wire(name, size).keys()


@pytest.mark.parametrize("name", NETWORKS)
def test_axes_channels_and_dimensions_are_checked(name):
    size = NETWORKS[name][1][2][-1]
    network = build(name, size)
    with pytest.raises(InputError, match="tensor of 4 axes"):
        network(torch.zeros(1, 2, 32, 32, 32))
    with pytest.raises(InputError, match="channels"):
        network(torch.zeros(1, 1, *size))
    with pytest.raises(InputError, match="2 or 3"):
        create(name, {**wire(name, size), "spatial_dims": 4})
