"""Every network of the registry learns from every kind of patch, wired as a plan wires it."""

from __future__ import annotations

import inspect
import json

import pytest
import torch

from medseg.losses import DeepSupervisionLoss, DiceCELoss
from medseg.networks.outputs import as_heads
from medseg.networks.registry import OURS, create, needs, plan_arguments, record, resolve
from medseg.planning.patch import Poolable
from medseg.planning.pooling import kernels

PATCHES = {  # mm and voxels per axis; the anisotropic ones are as long in mm along each axis
    "2d-isotropic": ((1.0, 1.0), (16, 16)),
    "2d-anisotropic": ((5.0, 1.0), (8, 40)),
    "3d-isotropic": ((1.0, 1.0, 1.0), (16, 16, 16)),
    "3d-anisotropic": ((5.0, 1.0, 1.0), (8, 40, 40)),
}
FEATURES = (4, 8, 12, 16, 16, 16)
SMALL = {  # of the networks whose width is not the plan's features: arguments that keep them small
    "segresnet": {"init_filters": 8},
    "swin_unetr": {"feature_size": 12, "depths": [1, 2, 1, 1], "window_size": 4},
    "unetr": {"hidden_size": 12, "mlp_dim": 24, "num_heads": 2, "feature_size": 4},
    "mednext": {"init_filters": 4},
    "highres_net": {"features": [4, 6, 8]},
    "deepmedic": {"features": [4, 4, 6], "hidden": [8]},
}
SLOW = {("swin_unetr", "3d-anisotropic")}  # multiples of 32 make ten times the voxels of it
CASES = [
    pytest.param(name, patch, marks=[pytest.mark.slow] if (name, patch) in SLOW else [])
    for name in OURS
    for patch in PATCHES
]


def plan(name, patch):
    """Return the numbers of a plan for a patch, enlarged to what the network takes."""
    spacing, size = PATCHES[patch]
    wanted = needs(name, SMALL.get(name, {}), spatial_dims=len(size))
    size, strides = Poolable(spacing, needs=wanted).holding(size)
    return {
        "spatial_dims": len(size),
        "num_classes": 3,
        "patch_size": size,
        "strides": strides,
        "kernels": kernels(spacing, strides),
        "features": FEATURES[: len(strides)],
    }


def build(name, patch, *, in_channels, **arguments):
    """Return a network, two images for it, and the size of what it segments of them."""
    numbers = plan(name, patch)
    arguments = {**SMALL.get(name, {}), **arguments}
    wired = plan_arguments(
        name, resolve(name), in_channels=in_channels, arguments=arguments, **numbers
    )
    torch.manual_seed(0)
    network = create(**json.loads(json.dumps(record(name, wired))))
    size = numbers["patch_size"]
    return network, torch.randn(2, in_channels, *needs(name, wired).input_size(size)), size


def test_the_anisotropic_patches_are_pooled_and_convolved_axis_by_axis():
    numbers = plan("unet", "3d-anisotropic")
    assert numbers["strides"] == ((1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2))
    assert numbers["kernels"] == ((1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3))


@pytest.mark.parametrize(("name", "patch"), CASES)
@pytest.mark.parametrize("in_channels", [1, 4])
def test_logits_have_the_size_of_the_patch_and_every_parameter_learns(name, patch, in_channels):
    network, x, size = build(name, patch, in_channels=in_channels)
    logits = as_heads(network(x), spatial_dims=len(size))[0]
    assert logits.shape == (2, 3, *size)
    assert torch.isfinite(logits).all()
    logits.square().mean().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
    assert any(parameter.grad.any() for parameter in network.parameters())


@pytest.mark.parametrize(("name", "patch"), CASES)
def test_deep_supervision_trains_every_head_with_the_loss_for_it(name, patch):
    if "deep_supervision" not in inspect.signature(resolve(name)).parameters:
        pytest.skip(f"{name} has one head")
    network, x, size = build(name, patch, in_channels=1, deep_supervision=True)
    heads = as_heads(network.train()(x), spatial_dims=len(size))
    assert len(heads) > 1
    assert heads[0].shape == (2, 3, *size)
    target = torch.randint(0, 3, (2, 1, *size))
    loss = DeepSupervisionLoss(DiceCELoss(), weights=[1] * len(heads))(heads, target)
    assert torch.isfinite(loss)
    loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())
    with torch.no_grad():
        assert network.eval()(x).shape == heads[0].shape
