"""What holds for each of our networks, in 2D and 3D."""

from __future__ import annotations

import copy

import pytest
import torch

from medseg.errors import InputError
from medseg.networks import AttentionUNet, DilatedUNet, ResidualUNet, UNet, UNetPlusPlus

NETWORKS = [UNet, ResidualUNet, DilatedUNet, AttentionUNet, UNetPlusPlus]
ONE_HEAD_PER_RESOLUTION = [cls for cls in NETWORKS if cls is not UNetPlusPlus]
SHAPES = {
    "2d-isotropic": ((8, 8), (1, 2, 2), (3, 3, 3)),
    "2d-anisotropic": ((6, 8), (1, (1, 2), (2, 2)), ((1, 3), 3, 3)),
    "3d-isotropic": ((8, 8, 8), (1, 2, 2), (3, 3, 3)),
    "3d-anisotropic": ((4, 8, 12), (1, (1, 2, 2), (2, 2, 2)), ((1, 3, 3), (1, 3, 3), 3)),
}


def build(cls, *, spatial_dims=2, in_channels=1, **options):
    torch.manual_seed(0)
    options = {"features": (4, 6, 8), "num_classes": 3, **options}
    return cls(spatial_dims=spatial_dims, in_channels=in_channels, **options)


@pytest.mark.parametrize("cls", NETWORKS)
@pytest.mark.parametrize("in_channels", [1, 4])
@pytest.mark.parametrize("shape", SHAPES)
def test_logits_have_the_input_size_and_every_weight_a_finite_gradient(cls, in_channels, shape):
    size, strides, kernels = SHAPES[shape]
    network = build(
        cls, spatial_dims=len(size), in_channels=in_channels, strides=strides, kernels=kernels
    )
    logits = network(torch.randn(2, in_channels, *size))
    assert logits.shape == (2, 3, *size)
    logits.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("cls", ONE_HEAD_PER_RESOLUTION)
def test_deep_supervision_gives_heads_at_falling_resolutions_in_training_only(cls):
    network = build(
        cls,
        spatial_dims=3,
        features=(4, 6, 8, 10),
        strides=(1, (1, 2, 2), 2, 2),
        deep_supervision=True,
    )
    x = torch.randn(1, 1, 8, 16, 16)
    heads = network.train()(x)
    assert [tuple(h.shape) for h in heads] == [
        (1, 3, 8, 16, 16),
        (1, 3, 8, 8, 8),
        (1, 3, 4, 4, 4),
    ]
    sum(h.square().mean() for h in heads).backward()
    assert all(p.grad is not None for p in network.parameters())
    alone = network.eval()(x)
    assert torch.equal(alone, heads[0])  # no layer behaves differently in evaluation


@pytest.mark.parametrize("cls", NETWORKS)
def test_a_sample_does_not_depend_on_its_batch(cls):
    network = build(cls)
    x = torch.randn(2, 1, 8, 8)
    assert torch.allclose(network(x)[1:], network(x[1:]), atol=1e-5)


@pytest.mark.parametrize("cls", NETWORKS)
def test_weights_follow_kaiming_and_biases_start_at_zero(cls):
    network = build(cls, features=(32, 64, 64))
    convs = [m for m in network.decoder.modules() if isinstance(m, torch.nn.Conv2d)]
    conv = max(convs, key=lambda conv: conv.weight.numel())
    fan_in = conv.weight[0].numel()
    assert conv.weight.std().item() == pytest.approx((2 / (1 + 0.01**2) / fan_in) ** 0.5, rel=0.05)
    biases = [p for n, p in network.named_parameters() if n.endswith("bias")]
    assert biases
    assert all(not b.any() for b in biases)


@pytest.mark.parametrize("cls", NETWORKS)
def test_a_copy_and_a_reloaded_network_give_the_same_logits(cls, tmp_path):
    network = build(cls)
    x = torch.randn(1, 1, 8, 8)
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    other = build(cls)
    torch.nn.init.ones_(other.heads[0].weight)
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(network(x), other(x))
    assert torch.equal(network(x), copy.deepcopy(network)(x))


@pytest.mark.parametrize("cls", NETWORKS)
def test_without_conv_bias_only_norms_and_resolution_changes_shift(cls):
    with_bias, without = build(cls), build(cls, conv_bias=False)
    x = torch.randn(1, 1, 8, 8)
    assert sum(p.numel() for p in without.parameters()) < sum(
        p.numel() for p in with_bias.parameters()
    )
    without.load_state_dict(with_bias.state_dict(), strict=False)
    # Biases start at zero, and an instance norm would remove them anyway.
    assert torch.allclose(without(x), with_bias(x), atol=1e-5)


@pytest.mark.parametrize("cls", NETWORKS)
def test_a_wrong_input_is_refused_in_words(cls):
    network = build(cls, in_channels=2)
    with pytest.raises(InputError, match=r"\(8, 8\) or \(12, 8\)"):
        network(torch.zeros(1, 2, 10, 8))
    with pytest.raises(InputError, match="channels"):
        network(torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match="tensor of 4 axes"):
        network(torch.zeros(2, 8, 8))
