"""U-Net++ against the authors' parameter counts, MONAI's network, and the U-Nets it nests."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from medseg.losses import DeepSupervisionLoss, DiceCELoss
from medseg.networks import UNet, UNetPlusPlus

NORMS = (torch.nn.InstanceNorm2d, torch.nn.InstanceNorm3d)


def build(cls=UNetPlusPlus, *, spatial_dims=2, **options):
    options = {"in_channels": 1, "num_classes": 3, "features": (4, 6, 8, 10), **options}
    torch.manual_seed(0)
    return cls(spatial_dims=spatial_dims, **options)


def parameters(module, *, norms=True) -> int:
    left_out = [] if norms else [m for m in module.modules() if isinstance(m, NORMS)]
    return sum(p.numel() for p in module.parameters()) - sum(map(parameters, left_out))


@pytest.mark.parametrize(("cls", "published"), [(UNet, 7_759_521), (UNetPlusPlus, 9_041_601)])
def test_without_norms_it_has_the_parameters_that_the_authors_code_states(cls, published):
    # github.com/MrGiovanni/UNetPlusPlus, keras/helper_functions.py; 7.76 M and 9.04 M in the paper
    network = build(cls, num_classes=1, features=(32, 64, 128, 256, 512))
    assert parameters(network, norms=False) == published


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("deep_supervision", [False, True])
def test_the_parameter_count_is_the_closed_form(dims, deep_supervision):
    f, strides = (4, 6, 8, 10), (1, (1, *[2] * (dims - 1)), 2, 2)
    enlarging = (2 ** (dims - 1), 2**dims, 2**dims)

    def unit(c: int, k: int) -> int:
        return (3**dims * c + 1) * k + 2 * k

    count = sum(unit(c, k) + unit(k, k) for c, k in zip((1, *f[:-1]), f, strict=True))
    for i in range(3):
        for j in range(1, 4 - i):
            count += (enlarging[i] * f[i + 1] + 1) * f[i]
            count += unit((1 + j) * f[i], f[i]) + unit(f[i], f[i])
    count += (3 if deep_supervision else 1) * (4 + 1) * 3
    network = build(spatial_dims=dims, strides=strides, deep_supervision=deep_supervision)
    assert parameters(network) == count


@pytest.mark.parametrize("size", [(32, 32), (16, 32, 16)])
def test_with_the_weights_of_monai_it_gives_the_logits_of_monai(size):
    from monai.networks.nets import BasicUNetPlusPlus

    # The one case that both have: kernel and stride of all stages alike, and enlarging to the
    # channels of the finer stage, which MONAI does at full resolution only if both have as many.
    features, dims = (4, 4, 8, 16, 32), len(size)
    torch.manual_seed(0)
    theirs = BasicUNetPlusPlus(
        dims,
        1,
        3,
        features=(*features, features[0]),
        deep_supervision=True,
        act=("LeakyReLU", {"negative_slope": 0.01, "inplace": True}),
    )
    for parameter in theirs.parameters():  # norms start at one and zero: tell them apart
        torch.nn.init.normal_(parameter, std=0.3)
    ours = build(spatial_dims=dims, features=features, deep_supervision=True)
    pool = (F.max_pool2d, F.max_pool3d)[dims - 2]
    copied = copy_units(ours.encoder[0], theirs.conv_0_0)
    for i in range(1, 5):
        stage = ours.encoder[i]
        stage[0][0].stride = (1,) * dims  # theirs pools instead
        stage.register_forward_pre_hook(lambda _, args: (pool(args[0], 2),))
        copied += copy_units(stage, theirs.get_submodule(f"conv_{i}_0").convs)
    for j in range(1, 5):
        for i in range(5 - j):
            node, upcat = ours.decoder[j - 1][i], theirs.get_submodule(f"upcat_{i}_{j}")
            node.enlarge.load_state_dict(upcat.upsample.deconv.state_dict())
            copied += parameters(node.enlarge) + copy_units(node.convs, upcat.convs)
            first = node.convs[0][0].weight  # theirs joins the skips first and then the enlarged
            first.data = first.data.roll(features[i], dims=1)
        head = theirs.get_submodule(f"final_conv_0_{j}")
        ours.heads[4 - j].load_state_dict(head.state_dict())
        copied += parameters(head)
    assert copied == parameters(ours)
    x = torch.randn(2, 1, *size)
    for ours_out, theirs_out in zip(ours(x), theirs(x)[::-1], strict=True):
        torch.testing.assert_close(ours_out, theirs_out, atol=1e-4, rtol=1e-4)


def copy_units(stack, two_conv) -> int:
    for unit, theirs in zip(stack, (two_conv.conv_0, two_conv.conv_1), strict=True):
        unit[0].load_state_dict(theirs.conv.state_dict())
        unit[1].load_state_dict(theirs.adn.N.state_dict())
    return parameters(stack)


def test_deep_supervision_gives_full_resolution_heads_deepest_first_in_training_only():
    network = build(spatial_dims=3, strides=(1, (1, 2, 2), 2, 2), deep_supervision=True)
    x = torch.randn(1, 1, 8, 16, 16)
    heads = network.train()(x)
    assert [tuple(head.shape) for head in heads] == [(1, 3, 8, 16, 16)] * 3
    assert torch.equal(network.eval()(x), heads[0])


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_head_of_a_node_uses_the_unet_of_its_depth_alone(depth):
    network = build(deep_supervision=True)
    network(torch.randn(1, 1, 16, 16))[3 - depth].square().mean().backward()
    used = [name.split(".") for name, p in network.named_parameters() if p.grad is not None]
    stages = {int(name[1]) for name in used if name[0] == "encoder"}
    nodes = {(int(name[2]), int(name[1]) + 1) for name in used if name[0] == "decoder"}
    assert stages == set(range(depth + 1))
    assert nodes == {(i, j) for j in range(1, depth + 1) for i in range(depth + 1 - j)}


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_head_of_a_node_sees_as_far_as_the_unet_of_its_depth(depth):
    features = (2, 2, 2, 2)
    plain = build(UNet, features=features[: depth + 1])
    nested = build(features=features, deep_supervision=True)
    assert reach(lambda x: nested(x)[3 - depth], nested) == reach(plain, plain)


def reach(logits, network) -> tuple[int, int]:
    """Return the first and the last row that the middle voxel sees."""
    # Norms would couple all voxels: without them only convolutions carry the signal.
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, NORMS):
                setattr(module, name, torch.nn.Identity())
    x = torch.randn(1, 1, 128, 16, requires_grad=True)
    logits(x)[0, 0, 64, 8].backward()
    rows = x.grad[0, 0].abs().sum(1).nonzero()
    return int(rows.min()), int(rows.max())


def test_every_head_learns():
    network = build(deep_supervision=True)
    loss = DeepSupervisionLoss(DiceCELoss())
    loss(network(torch.randn(1, 1, 16, 16)), torch.randint(0, 3, (1, 1, 16, 16))).backward()
    assert all(p.grad is not None and p.grad.any() for p in network.heads.parameters())


def test_convolutions_are_counted_per_stage():
    network = build(features=(2, 3, 4), convs_per_stage=(1, 2, 3), decoder_convs_per_stage=(3, 1))
    assert [len(stage) for stage in network.encoder] == [1, 2, 3]
    assert [[len(node.convs) for node in nodes] for nodes in network.decoder] == [[3, 1], [3]]
