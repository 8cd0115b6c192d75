"""Networks taken apart, held against closed forms, gradients and PyTorch's own counter."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.flop_counter import FlopCounterMode

from medseg.errors import InputError
from medseg.networks import DilatedUNet, ResidualUNet, UNet
from medseg.networks.anatomy.closed_forms import convolution_parameters, receptive_fields
from medseg.networks.anatomy.dissect import dissect
from medseg.networks.input_context import context_of
from medseg.networks.registry import create, plan_arguments, resolve

PLAN = {
    "spatial_dims": 2,
    "in_channels": 2,
    "num_classes": 3,
    "strides": ((1, 1), (2, 2), (1, 2)),
    "kernels": ((3, 3), (3, 3), (3, 3)),
    "features": (2, 3, 4),
}
TOKENS = {"hidden_size": 12, "mlp_dim": 12, "num_heads": 2, "feature_size": 4}
LOCAL = {  # name -> arguments, a patch that is wider than the field along its first axis
    "unet": ({}, (48, 48)),
    "residual_unet": ({"blocks_per_stage": 1}, (48, 48)),
    "dilated_unet": ({"rates": [1, 2]}, (64, 64)),
    "attention_unet": ({}, (48, 48)),
    "unet_plus_plus": ({}, (48, 48)),
    "segresnet": (
        {"init_filters": 8, "blocks_down": [1, 1, 1], "blocks_up": [1, 1]},
        (80, 8),
    ),
    "mednext": ({"init_filters": 2}, (272, 16)),
    "highres_net": ({"features": [2, 3, 4]}, (96, 12)),
    "deepmedic": ({"features": [2, 2, 2], "hidden": [4]}, (24, 24)),
    "monai.UNet": ({"num_res_units": 1}, (48, 48)),
    "monai.AttentionUnet": ({}, (48, 48)),
    "monai.DynUNet": ({}, (48, 48)),
    "monai.SegResNetDS": ({"init_filters": 8, "blocks_down": [1, 1]}, (32, 32)),
    "monai.BasicUNet": ({"features": [2] * 6}, (240, 16)),
    "monai.BasicUNetPlusPlus": ({"features": [2] * 6}, (240, 16)),
    "monai.RegUNet": (
        {"num_channel_initial": 2, "depth": 2, "out_kernel_initializer": "kaiming_uniform"},
        (72, 72),
    ),
}
GLOBAL = {
    "unetr": (TOKENS, (32, 32)),
    "swin_unetr": ({"feature_size": 12, "depths": [1, 1, 1, 1]}, (64, 64)),
    "monai.UNETR": (TOKENS, (32, 32)),
}


# Wirings beyond PLAN, by what they are; the anisotropic ones leave the first axis at first.
WIRED = {
    "2d-isotropic": {"strides": (1, 2, 2), "kernels": (3, 3, 3)},
    "2d-anisotropic": {"strides": (1, (1, 2), (2, 2)), "kernels": ((1, 3), (3, 3), (3, 3))},
    "3d-isotropic": {"strides": (1, 2, 2), "kernels": (3, 3, 3)},
    "3d-anisotropic": {
        "strides": (1, (1, 2, 2), (2, 2, 2)),
        "kernels": ((1, 3, 3), (3, 3, 3), (3, 3, 3)),
    },
}
# name -> how long the axis is that is measured, and how short the others may be
REACH = {
    "unet": (64, 4),
    "residual_unet": (48, 4),
    "dilated_unet": (96, 4),
    "attention_unet": (64, 4),
    "unet_plus_plus": (64, 4),
    "segresnet": (80, 8),
    "mednext": (272, 16),
    "highres_net": (96, 2),
    "deepmedic": (12, 4),
}


def build(name, arguments, patch, plan=PLAN):
    cls = resolve(name)
    wired = plan_arguments(name, cls, **plan, patch_size=patch, arguments=arguments)
    network = create(name, wired)
    around = context_of(network, spatial_dims=len(patch))
    return network, tuple(n + 2 * c for n, c in zip(patch, around, strict=True))


def linear(network):
    """Make every path count: no norms, weights above 0, means instead of maxima, in float64."""
    network = network.double().eval()
    for module in list(network.modules()):
        if hasattr(module, "inplace"):
            module.inplace = False
        for name, child in list(module.named_children()):
            if isinstance(child, _NormBase | nn.GroupNorm | nn.LayerNorm):
                setattr(module, name, nn.Identity())
            elif isinstance(child, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
    with torch.no_grad():
        for parameter in network.parameters():
            weight = parameter.ndim > 1
            parameter.fill_(1 / parameter[0].numel() if weight else 0.0)
    return network


def measured(output, x, axes=None):
    """Measure a field ``(B, C, *S)`` by gradients, along each axis the widest of middle voxels."""
    found = []
    for axis in range(2, x.ndim) if axes is None else [n + 2 for n in axes]:
        place = [0, 0, *(n // 2 for n in output.shape[2:])]
        widest = 0
        # Enlarged voxels differ in what they see; the pattern comes again after the total stride.
        for _ in range(min(8, output.shape[axis] - place[axis])):
            (gradient,) = torch.autograd.grad(output[tuple(place)], x, retain_graph=True)
            seen = gradient.abs().sum([d for d in range(x.ndim) if d != axis]).nonzero()
            widest = max(widest, int(seen.max() - seen.min()) + 1)
            place[axis] += 1
        found.append(widest)
    return tuple(found)


@pytest.mark.parametrize("name", LOCAL)
def test_the_logits_see_what_gradients_say(name):
    arguments, patch = LOCAL[name]
    network, size = build(name, arguments, patch)
    found = dissect(network, in_channels=2, size=size)
    x = torch.ones(1, 2, *size, dtype=torch.float64, requires_grad=True)
    output = linear(network)(x)
    seen = measured(output[0] if isinstance(output, list) else output, x)
    expected = tuple(min(f, n) for f, n in zip(found.field, size, strict=True))
    assert seen == expected
    assert found.field[0] <= size[0]  # so that at least one axis was measured and not cut


@pytest.mark.parametrize("wired", WIRED)
@pytest.mark.parametrize("name", REACH)
def test_in_every_wiring_the_logits_see_what_gradients_say_along_the_first_and_second_axis(
    name, wired
):
    dims = int(wired[0])
    plan = {**PLAN, "spatial_dims": dims, **WIRED[wired]}
    long, short = REACH[name]
    for axis in (0,) if wired.endswith("-isotropic") else (0, 1):
        patch = tuple(long if n == axis else short for n in range(dims))
        network, size = build(name, LOCAL[name][0], patch, plan)
        field = dissect(network, in_channels=2, size=size).field
        x = torch.ones(1, 2, *size, dtype=torch.float64, requires_grad=True)
        output = linear(network)(x)
        assert measured(output, x, [axis]) == (field[axis],)
        assert field[axis] <= size[axis]  # measured, and not cut


@pytest.mark.parametrize("cls", [UNet, ResidualUNet, DilatedUNet])
@pytest.mark.parametrize("dims", [2, 3])
def test_every_layer_sees_what_gradients_say(cls, dims):
    options = {ResidualUNet: {"blocks_per_stage": 1}, DilatedUNet: {"rates": (1, 2)}}.get(cls, {})
    network = cls(spatial_dims=dims, in_channels=1, num_classes=2, features=(2, 3), **options)
    size = (28 if dims == 3 else 32,) * dims
    layers = {a.name: a for a in dissect(network, in_channels=1, size=size).layers}
    kept = {}
    network = linear(network)
    for name, module in network.named_modules():
        if name in layers and not isinstance(module, nn.Identity):
            module.register_forward_hook(lambda m, i, out, name=name: kept.update({name: out}))
    x = torch.ones(1, 1, *size, dtype=torch.float64, requires_grad=True)
    network(x)
    assert len(kept) >= 8
    for name, output in kept.items():
        assert measured(output, x) == layers[name].field, name


@pytest.mark.parametrize("name", GLOBAL)
def test_a_transformer_sees_the_whole_patch_from_its_first_attention_on(name):
    network, size = build(name, *GLOBAL[name])
    found = dissect(network, in_channels=2, size=size)
    assert found.field is None
    assert "attn" in found.whole
    embedding = next(layer for layer in found.layers if "patch_embed" in layer.name)
    assert embedding.field == embedding.kernel  # before it, tokens see their own voxels


@pytest.mark.parametrize("name", ["unetr", "swin_unetr"])
def test_a_transformer_sees_the_whole_volume_too(name):
    plan = {**PLAN, "spatial_dims": 3, **WIRED["3d-anisotropic"]}
    network, size = build(name, GLOBAL[name][0], (32, 32, 64), plan)
    found = dissect(network, in_channels=2, size=size)
    assert found.field is None
    assert "attn" in found.whole


@pytest.mark.parametrize("dims", [2, 3])
def test_a_token_of_swin_unetr_attends_within_its_window_and_then_across_shifted_ones(dims):
    window, size = 4, (64, *[32] * (dims - 1))
    network = create(
        "swin_unetr",
        {
            **{"spatial_dims": dims, "in_channels": 1, "num_classes": 2},
            **{"feature_size": 12, "depths": [2, 1, 1, 1], "window_size": window},
        },
    ).eval()
    tokens = {}
    for number, block in enumerate(network.swinViT.layers1[0].blocks):
        block.register_forward_hook(lambda m, i, out, n=number: tokens.update({n: out}))
    x = torch.randn(1, 1, *size, requires_grad=True)
    network(x)
    seen = []
    for number in (0, 1):
        (gradient,) = torch.autograd.grad(
            tokens[number][(0, 9, *[5] * (dims - 1))].sum(), x, retain_graph=True
        )
        rows = gradient.abs().flatten(3).amax((1, 3)).flatten().nonzero()
        seen.append((int(rows.min()), int(rows.max())))
    # Token 9 is in the window of tokens 8 to 11; those shifted by half hold 6 to 9, 4 to 11 before.
    assert seen == [(2 * 8, 2 * 12 - 1), (2 * 4, 2 * 12 - 1)]


@pytest.mark.parametrize("name", [*LOCAL, *GLOBAL])
def test_parameters_and_flops_are_those_of_pytorch(name):
    network, size = build(name, *{**LOCAL, **GLOBAL}[name])
    found = dissect(network, in_channels=2, size=size)
    assert found.parameters == sum(p.numel() for p in network.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.zeros(1, 2, *size))
    assert found.flops == counter.get_total_flops()


def conv(kernel, channels, bias=True):
    return convolution_parameters(kernel, *channels, bias=bias)


def stack(kernel, channels):
    """Two convolutions, each with a bias and a norm of 2 numbers a channel."""
    last = channels[1]
    return conv(kernel, channels) + conv(kernel, (last, last)) + 4 * last


@pytest.mark.parametrize("dims", [2, 3])
def test_a_unet_has_the_parameters_and_fields_of_its_closed_form(dims):
    k3, k2, k1 = (3,) * dims, (2,) * dims, (1,) * dims
    network = UNet(spatial_dims=dims, in_channels=1, num_classes=2, features=(4, 6, 8))
    found = dissect(network, in_channels=1, size=(8,) * dims)
    assert found.parameters == (
        stack(k3, (1, 4))
        + stack(k3, (4, 6))
        + stack(k3, (6, 8))
        + conv(k2, (8, 6))
        + stack(k3, (12, 6))
        + conv(k2, (6, 4))
        + stack(k3, (8, 4))
        + conv(k1, (4, 2))
    )
    encoder = [a for a in found.layers if a.name.startswith("encoder") and a.kernel]
    fields = receptive_fields([3] * 6, [1, 1, 2, 1, 2, 1])
    assert [a.field for a in encoder] == [(f,) * dims for f in fields]
    # Two convolutions in steps of 2, then two in steps of 1; skips and steps up add nothing.
    assert found.field == (fields[-1] + 2 * 2 * 2 + 2 * 2 * 1,) * dims


@pytest.mark.parametrize("dims", [2, 3])
def test_a_residual_unet_has_the_parameters_of_its_closed_form(dims):
    k3, k2, k1 = (3,) * dims, (2,) * dims, (1,) * dims
    network = ResidualUNet(
        spatial_dims=dims, in_channels=1, num_classes=2, features=(4, 6), blocks_per_stage=(1, 2)
    )
    found = dissect(network, in_channels=1, size=(8,) * dims)
    stem = conv(k3, (1, 4)) + 8
    shortcut = conv(k1, (4, 6), bias=False) + 12
    decoder = conv(k2, (6, 4)) + conv(k3, (8, 4)) + 8 + conv(k1, (4, 2))
    blocks = stack(k3, (4, 4)) + stack(k3, (4, 6)) + shortcut + stack(k3, (6, 6))
    assert found.parameters == stem + blocks + decoder
    # Stem, 2 convolutions; a strided one and 3 more in steps of 2; one of the decoder.
    assert found.field == (receptive_fields([3] * 7 + [3], [1, 1, 1, 2, 1, 1, 1, 1])[6] + 2,) * dims


@pytest.mark.parametrize("dims", [2, 3])
def test_a_dilated_unet_sees_by_its_largest_rate(dims):
    k3, k1 = (3,) * dims, (1,) * dims
    options = {"spatial_dims": dims, "in_channels": 1, "num_classes": 2, "features": (4, 8)}
    plain = dissect(UNet(**options), in_channels=1, size=(8,) * dims)
    found = dissect(DilatedUNet(**options, rates=(1, 2, 4, 8)), in_channels=1, size=(8,) * dims)
    context = 4 * (conv(k3, (8, 2)) + 2 * 2) + conv(k1, (8, 8)) + 2 * 8
    assert found.parameters == plain.parameters + context
    branches = [a for a in found.layers if "branches" in a.name and a.kernel]
    before = receptive_fields([3] * 4, [1, 1, 2, 1])[-1]
    assert [a.dilation[0] for a in branches] == [1, 2, 4, 8]
    assert [a.field[0] for a in branches] == [before + 2 * 2 * rate for rate in (1, 2, 4, 8)]
    assert found.field == tuple(n + 2 * 2 * 8 for n in plain.field)


def test_the_primers_chain_sees_five_voxels():
    chain = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1))
    found = dissect(chain, in_channels=1, size=(9, 9))
    assert [layer.field for layer in found.layers] == [(3, 3), (5, 5)]
    assert [layer.parameters for layer in found.layers] == [(9 * 1 + 1) * 4, (9 * 4 + 1) * 2]


def test_axes_have_fields_of_their_own():
    network = UNet(
        spatial_dims=3,
        in_channels=1,
        num_classes=2,
        features=(2, 4),
        kernels=((1, 3, 3), 3),
        strides=(1, (1, 2, 2)),
    )
    assert dissect(network, in_channels=1, size=(4, 8, 8)).field == (5, 15, 15)


class Own(nn.Module):
    """A network of someone else, which does ``act`` between two convolutions."""

    def __init__(self, act, channels=4, out=4):
        super().__init__()
        self.first = nn.Conv2d(1, channels, 3, padding=1)
        self.last = nn.Conv2d(out, 2, 1)
        self.act = act

    def forward(self, x):
        return self.last(self.act(self.first(x)))


def tokens(x):
    flat = x.flatten(2).transpose(1, 2) @ torch.ones(4, 4)
    return flat.transpose(1, 2).reshape(x.shape)


def looks_at_values(x):
    return x * (2.0 if x.sum().item() > 0 else 1.0)


def filled_by_slices(x):
    y = torch.zeros_like(x)
    y[:, :2] = x[:, 2:]
    return y


def attention(x):
    flat = x.flatten(2).transpose(1, 2)
    return F.scaled_dot_product_attention(flat, flat, flat).transpose(1, 2).reshape(x.shape)


@pytest.mark.parametrize(
    ("act", "channels", "out", "field"),
    [
        (tokens, 4, 4, 3),
        (lambda x: F.pixel_shuffle(F.avg_pool2d(x, 2), 2), 16, 4, 4),
        (lambda x: F.interpolate(F.max_pool2d(x, 2), scale_factor=2.0), 4, 4, 4),
        (lambda x: torch.cat([x, F.pad(x[..., 2:], (0, 2))], 1), 2, 4, 5),
        (lambda x: torch.stack([x, x], 1).flatten(1, 2), 2, 4, 3),
        (lambda x: x.chunk(2, 1)[0].repeat(1, 2, 1, 1), 4, 4, 3),
        (looks_at_values, 4, 4, 3),
    ],
    ids=["tokens", "shuffle", "pool", "shift", "stack", "chunk", "values"],
)
def test_own_networks_are_followed_through_what_they_do(act, channels, out, field):
    assert dissect(Own(act, channels, out), in_channels=1, size=(8, 12)).field[1] == field


@pytest.mark.parametrize(
    ("act", "word"),
    [
        (lambda x: x * x.mean((2, 3), keepdim=True), "mean"),
        (lambda x: x * F.adaptive_avg_pool2d(x, 1), "mean"),
        (lambda x: x.softmax(-1), "softmax"),
        (attention, "bmm"),
        (filled_by_slices, "copy_ in place"),
        (lambda x: x.flip(2), "flip in the network, which cannot be followed"),
    ],
)
def test_what_mixes_all_voxels_is_named(act, word):
    found = dissect(Own(act), in_channels=1, size=(8, 8))
    assert found.field is None
    assert word in found.whole


def test_layers_that_run_twice_are_listed_twice_and_counted_once():
    conv = nn.Conv2d(1, 1, 3, padding=1)
    found = dissect(nn.Sequential(conv, conv), in_channels=1, size=(8, 8))
    assert [(a.name, a.field[0], a.parameters) for a in found.layers] == [
        ("0", 3, 10),
        ("0#2", 5, 0),
    ]


def test_heads_for_training_are_counted_and_named_as_unused():
    network = UNet(
        spatial_dims=2, in_channels=1, num_classes=3, features=(2, 4, 6), deep_supervision=True
    )
    found = dissect(network, in_channels=1, size=(8, 8))
    assert found.unused == 4 * 3 + 3
    assert [a.name for a in found.layers if a.shape is None] == ["heads.1"]
    assert found.parameters == sum(p.numel() for p in network.parameters())


def test_the_network_is_left_as_it_was():
    network = UNet(spatial_dims=2, in_channels=1, num_classes=2, features=(2, 4)).train()
    dissect(network, in_channels=1, size=(8, 8))
    assert network.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    assert network(torch.zeros(1, 1, 8, 8)).requires_grad


def test_a_network_without_values_is_described_too():
    with torch.device("meta"):
        network = UNet(spatial_dims=3, in_channels=1, num_classes=2, features=(32, 64, 128))
    found = dissect(network, in_channels=1, size=(512, 512, 512))
    assert found.output == (2, 512, 512, 512)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (UNet(spatial_dims=2, in_channels=1, num_classes=2, features=(2, 4)), "total stride"),
        (nn.Conv2d(3, 2, 1), "cannot take an input"),
        (nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten()), "segmentation logits"),
    ],
)
def test_what_cannot_run_is_refused_in_words(network, message):
    with pytest.raises(InputError, match=message):
        dissect(network, in_channels=1, size=(9, 9))


def test_millimetres_follow_the_spacing():
    network = UNet(spatial_dims=2, in_channels=1, num_classes=2, features=(2, 4))
    found = dissect(network, in_channels=1, size=(8, 8), spacing=(0.5, 2))
    assert found.field == (15, 15)
    assert found.to_dict()["totals"]["field_mm"] == (7.5, 30.0)
