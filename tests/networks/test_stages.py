"""The stages of every network are all of it, each once, in the order in which data pass them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from medseg.networks.neighbouring_slices import NeighbouringSlices
from medseg.networks.outputs import as_heads
from medseg.networks.registry import OURS, create, resolve
from medseg.networks.stages import Stages, parameters_under, stages_of
from medseg.training.transfer import Source, freeze, load_pretrained

CHANNELS, CLASSES = 2, 3
FEATURES = {"features": (4, 6, 8), "deep_supervision": True}
ARGUMENTS = {
    "unet": FEATURES,
    "residual_unet": {**FEATURES, "blocks_per_stage": 1},
    "dilated_unet": FEATURES,
    "attention_unet": FEATURES,
    "unet_plus_plus": FEATURES,
    "segresnet": {"init_filters": 8, "blocks_down": (1, 1, 1), "dropout": 0.1},
    "swin_unetr": {
        "feature_size": 12,
        "depths": (1, 1, 1, 1),
        "window_size": 4,
        "residual_stages": True,
    },
    "unetr": {
        "img_size": (32, 32),
        "hidden_size": 12,
        "mlp_dim": 24,
        "num_heads": 2,
        "feature_size": 4,
    },
    "mednext": {"init_filters": 4, "deep_supervision": True},
    "highres_net": {"features": (4, 6, 8), "blocks_per_group": 2},
    "deepmedic": {"features": (4, 4, 6), "hidden": (8, 8), "dropout": 0.2},
}
UNET = {"channels": (8, 12, 16), "strides": (2, 2)}
DYNUNET = {
    "kernel_size": (3, 3, 3),
    "strides": (1, 2, 2),
    "upsample_kernel_size": (2, 2),
    "filters": (4, 6, 8),
}
MONAI = {
    "unet": ("UNet", UNET),
    "residual unet": ("UNet", {**UNET, "num_res_units": 2, "norm": "batch"}),
    "flat unet": ("UNet", {"channels": (8, 12), "strides": (2,)}),
    "attention": ("AttentionUnet", UNET),
    "flat attention": ("AttentionUnet", {"channels": (8, 12), "strides": (2,)}),
    "dynunet": ("DynUNet", {**DYNUNET, "deep_supervision": True, "res_block": True}),
    "plain dynunet": ("DynUNet", DYNUNET),
    "segresnet ds": ("SegResNetDS", {"init_filters": 8, "blocks_down": (1, 1, 1), "dsdepth": 2}),
    "vnet": ("VNet", {"dropout_dim": 2}),
    "basic": ("BasicUNet", {"features": (4, 4, 8, 8, 16, 4)}),
    "basic plus plus": (
        "BasicUNetPlusPlus",
        {"features": (4, 4, 8, 8, 16, 4), "deep_supervision": True},
    ),
}
ALL = [*OURS, *MONAI]


def build(name, channels=CHANNELS):
    """Return a small network of 2D, and the size of an input for it."""
    torch.manual_seed(0)
    if name in OURS:
        network = resolve(name)(
            spatial_dims=2, in_channels=channels, num_classes=CLASSES, **ARGUMENTS[name]
        )
    else:
        cls, arguments = MONAI[name]
        sizes = {"spatial_dims": 2, "in_channels": channels, "out_channels": CLASSES}
        network = create(f"monai.{cls}", {**sizes, **arguments})
    context = getattr(network, "input_context", (0, 0))
    # Of Swin UNETR's coarsest stage, normalised channel by channel, two voxels must be left.
    size = (64, 32) if name == "swin_unetr" else (32, 32)
    return network, tuple(length + 2 * n for length, n in zip(size, context, strict=True))


@pytest.mark.parametrize("name", ALL)
def test_every_parameter_belongs_to_one_stage_or_to_the_head(name):
    network, _ = build(name)
    stages = stages_of(network)
    parts = [*stages.body, stages.head]
    owned = [id(p) for part in parts for _, p in parameters_under(network, part)]
    assert len(stages.body) >= 2
    assert sorted(owned) == sorted(id(p) for p in network.parameters())


@pytest.mark.parametrize("name", ALL)
def test_first_layers_read_the_image_and_last_ones_give_the_classes(name):
    network, size = build(name)
    stages = stages_of(network)
    seen, made = set(), set()
    for path, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_pre_hook(
                lambda m, args, path=path: seen.add(path) if args[0].shape[1] == CHANNELS else None
            )
            module.register_forward_hook(
                lambda m, args, out, path=path: made.add(path) if out.shape[1] == CLASSES else None
            )
    network.train()(torch.randn(2, CHANNELS, *size))
    assert seen == set(stages.first)
    behind = {path for path in made if path.startswith(tuple(f"{p}." for p in stages.after))}
    assert made - behind - set(stages.after) == set(stages.logits)


@pytest.mark.parametrize("name", [name for name in ALL if name != "vnet"])  # it adds its input
def test_what_first_layers_do_not_look_at_changes_nothing(name):
    # Not 4 channels: blocks that keep their number of channels have no layer on the shortcut.
    (plain, size), (guided, _) = build(name), build(name, CHANNELS + 3)
    found = Source(Path("a.pt"), "weights", plain.state_dict())
    load_pretrained(guided, found, guides=["a", "b", "c"])
    image, masks = torch.randn(1, CHANNELS + 3, *size).double().split([CHANNELS, 3], dim=1)
    with torch.no_grad():
        expected, logits = (
            as_heads(network.double().eval()(x), spatial_dims=2)[0]
            for network, x in ((plain, image), (guided, torch.cat([image, masks], dim=1)))
        )
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ALL)
def test_no_frozen_stage_lies_behind_one_that_is_trained(name):
    count = len(stages_of(build(name)[0]).body)
    for last in range(1, count):
        network, size = build(name)
        freeze(network, "medium", last=last)
        frozen = [
            module
            for module in network.modules()
            if any(True for _ in module.parameters())
            and not any(p.requires_grad for p in module.parameters())
        ]
        assert frozen
        for module in frozen:
            module.register_forward_hook(_needs_no_gradient)
        heads = as_heads(network.train()(torch.randn(2, CHANNELS, *size)), spatial_dims=2)
        assert heads[0].requires_grad


def _needs_no_gradient(module, args, output):
    outputs = output if isinstance(output, tuple | list) else [output]
    assert not any(isinstance(o, torch.Tensor) and o.requires_grad for o in outputs)


def test_a_network_of_slices_has_the_stages_of_the_one_within():
    inner, _ = build("unet")
    inner_stages = stages_of(inner)
    stages = stages_of(NeighbouringSlices(inner, axis=2, neighbours=1))
    assert stages.first == tuple(f"network.{path}" for path in inner_stages.first)
    assert stages.body[0] == tuple(f"network.{path}" for path in inner_stages.body[0])


def test_a_network_of_ones_own_says_its_stages():
    class Mine(nn.Sequential):
        def transfer_stages(self):
            return Stages((("0",), ("1",)), ("2",), ("0",), ("2",))

    assert stages_of(Mine(*(nn.Conv2d(1, 1, 1) for _ in range(3)))).body == (("0",), ("1",))


def test_of_a_stranger_only_the_ends_are_guessed():
    stages = stages_of(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)))
    assert stages == Stages(first=("0",), logits=("2",))
