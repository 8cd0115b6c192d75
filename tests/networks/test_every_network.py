"""Every network of the registry learns from every kind of patch, wired as a plan wires it."""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from medseg.losses import DeepSupervisionLoss, DiceCELoss
from medseg.networks.blocks.residual import ResidualBlock
from medseg.networks.outputs import as_heads
from medseg.networks.registry import OURS, create, needs, plan_arguments, record, resolve
from medseg.planning.patch import Poolable
from medseg.planning.pooling import kernels


def layer_lists():
    path = Path(__file__).with_name("layer_lists.py")
    spec = importlib.util.spec_from_file_location("layer_lists", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


lists = layer_lists()
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


def closed_form(name, patch, in_channels):
    """Count the parameters of a cell of the table by the layers that its network has on paper."""
    numbers = plan(name, patch)
    shape = {key: numbers[key] for key in ("strides", "kernels", "features")}
    return lists.parameters(
        name,
        lists.Shape(
            dims=numbers["spatial_dims"],
            channels=in_channels,
            classes=numbers["num_classes"],
            size=numbers["patch_size"],
            more=SMALL.get(name, {}),
            **shape,
        ),
    )


def without_effect(network):
    """Name the biases that the norm behind them takes away again: nothing can teach them."""
    from monai.networks.blocks.mednext_block import MedNeXtBlock

    norms = (nn.InstanceNorm2d, nn.InstanceNorm3d)
    found = set()
    for path, module in network.named_modules():
        children = list(module.named_children())
        if isinstance(module, ResidualBlock):
            found.add(f"{path}.second.bias")
        if isinstance(module, nn.Sequential):
            for (name, layer), (_, behind) in itertools.pairwise(children):
                if isinstance(behind, norms) and getattr(layer, "bias", None) is not None:
                    found.add(f"{path}.{name}.bias")
        if isinstance(module, MedNeXtBlock):  # its groups have one channel each
            found.add(f"{path}.conv1.bias")
    return found


@pytest.mark.parametrize(("name", "patch"), CASES)
@pytest.mark.parametrize("in_channels", [1, 4])
def test_logits_have_the_size_of_the_patch_and_every_parameter_learns(name, patch, in_channels):
    network, x, size = build(name, patch, in_channels=in_channels)
    assert sum(p.numel() for p in network.parameters()) == closed_form(name, patch, in_channels)
    with torch.no_grad():  # residual branches start at a scale of zero, and learn a step later
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    logits = as_heads(network(x), spatial_dims=len(size))[0]
    assert logits.shape == (2, 3, *size)
    assert torch.isfinite(logits).all()
    logits.square().mean().backward()
    idle = without_effect(network)
    assert idle <= dict(network.named_parameters()).keys()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        assert parameter.grad.any() or parameter_name in idle, parameter_name


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
    strides = [measured_stride(size, head) for head in heads]
    assert strides == head_strides(name, plan(name, patch)["strides"])
    with torch.no_grad():
        assert network.eval()(x).shape == heads[0].shape


def total_strides(strides):
    """Multiply the strides of the stages up, per axis."""
    totals = itertools.accumulate(strides, lambda a, b: [m * n for m, n in zip(a, b, strict=True)])
    return [tuple(total) for total in totals]


def powers(dims, *exponents):
    return [(2**n,) * dims for n in exponents]


def measured_stride(size, features):
    """Return how many voxels of the patch there are to one of the features, per axis."""
    found = [divmod(n, m) for n, m in zip(size, features.shape[2:], strict=True)]
    assert not any(rest for _, rest in found), (size, features.shape)
    return tuple(times for times, _ in found)


def head_strides(name, strides):
    """Give the strides of the heads of deep supervision, finest first."""
    if name == "mednext":
        return powers(len(strides[0]), 0, 1, 2, 3, 4)
    stages = total_strides(strides)[:-1]
    return stages[:1] * len(stages) if name == "unet_plus_plus" else stages


def published_strides(name, dims):
    """Give a module and its output's stride for each resolution of a network, as published."""
    at = {
        "segresnet": ["down_layers.0", "down_layers.1", "down_layers.2", "down_layers.3"],
        "mednext": [*(f"enc_stages.{i}" for i in range(4)), "bottleneck"],
        "unetr": ["encoder1", "encoder2", "encoder3", "encoder4", "vit.patch_embedding"],
        "swin_unetr": ["encoder1", "encoder2", "encoder3", "encoder4", "swinViT.layers3.0"],
        "highres_net": ["stem", *(f"blocks.{i}" for i in range(9))],
    }[name]
    exponents = [0] * len(at) if name == "highres_net" else range(len(at))
    found = dict(zip(at, powers(dims, *exponents), strict=True))
    return {**found, "encoder10": (32,) * dims} if name == "swin_unetr" else found


def planned_strides(name, strides):
    """Give the same of a U-Net, on its way down and up again."""
    totals = total_strides(strides)
    down = {f"encoder.{i}": total for i, total in enumerate(totals)}
    if name == "unet_plus_plus":
        nodes = [(column, i) for column in range(len(totals) - 1) for i in range(len(totals))]
        at = {f"decoder.{j}.{i}": totals[i] for j, i in nodes if i + j < len(totals) - 1}
    else:
        at = {f"decoder.{i}": total for i, total in enumerate(totals[:-1])}
    return down | at


@pytest.mark.parametrize(("name", "patch"), CASES)
def test_features_have_the_strides_of_the_paper_or_the_plan(name, patch):
    network, x, size = build(name, patch, in_channels=1)
    if name == "deepmedic":
        expected = {"fine": (1,) * len(size), "coarse": tuple(network.factor)}
        # The averaged path may see less than a whole block at the far end.
        size = [n + -n % f for n, f in zip(size, network.factor, strict=True)]
        read = [n + 2 * c for n, c in zip(size, network.input_context, strict=True)]
        x = torch.randn(2, 1, *read)
    elif name in ("segresnet", "mednext", "unetr", "swin_unetr", "highres_net"):
        expected = published_strides(name, len(size))
    else:
        expected = planned_strides(name, plan(name, patch)["strides"])
    found = {}

    def note(path):
        def hook(module, inputs, output):
            if path == "vit.patch_embedding":  # tokens in a row
                output = output.movedim(1, -1).unflatten(-1, [n // 16 for n in size])
            found[path] = measured_stride(size, output)

        return hook

    for path in expected:
        network.get_submodule(path).register_forward_hook(note(path))
    with torch.no_grad():
        network.eval()(x)
    assert found == expected


@pytest.mark.parametrize(
    ("name", "shape", "millions"),
    [  # sources: the tests of each network
        ("swin_unetr", {"channels": 4, "classes": 3}, 62.19),
        ("unetr", {"channels": 1, "classes": 14, "size": (96, 96, 96)}, 92.58),
        ("mednext", {"channels": 1, "classes": 14}, 5.6),
        ("highres_net", {"channels": 1, "classes": 160}, 0.81),
        ("segresnet", {"channels": 1, "classes": 25, "more": {"init_filters": 16}}, 4.7),
    ],
)
def test_the_layers_on_paper_have_the_published_parameters(name, shape, millions):
    count = lists.parameters(name, lists.Shape(dims=3, **shape))
    assert count / 1e6 == pytest.approx(millions, rel=0.01)
