"""The attention U-Net against its paper's equations, the plain U-Net and MONAI's gate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from medseg.errors import InputError
from medseg.networks import AttentionUNet, UNet
from medseg.networks.blocks.attention_gate import AttentionGate


def build(cls, *, spatial_dims=2, **options):
    options = {"in_channels": 2, "num_classes": 3, "features": (4, 6, 8, 10), **options}
    torch.manual_seed(0)
    return cls(spatial_dims=spatial_dims, **options)


def parameters(module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("gate_finest", [False, True])
def test_beyond_the_plain_unet_there_are_the_parameters_of_the_paper_s_gates(dims, gate_finest):
    features = (4, 6, 8, 10)

    def gate(x: int, g: int) -> int:  # W_x, strided, without bias; W_g and psi with one
        return 2**dims * x * x + (g + 1) * x + (x + 1)

    gates = [gate(4, 6), gate(6, 8), gate(8, 10)][0 if gate_finest else 1 :]
    plain = build(UNet, spatial_dims=dims, features=features)
    gated = build(AttentionUNet, spatial_dims=dims, features=features, gate_finest=gate_finest)
    assert parameters(gated) == parameters(plain) + sum(gates)


def test_at_the_width_of_the_paper_the_gates_have_215_491_parameters():
    network = AttentionUNet(
        spatial_dims=3, in_channels=1, num_classes=2, features=(16, 32, 64, 128, 256)
    )
    strided = 8 * (32**2 + 64**2 + 128**2)
    assert parameters(network.gates) == strided + 43_008 + 224 + 227 == 215_491


@pytest.mark.parametrize("dims", [2, 3])
def test_with_gates_of_one_it_is_the_plain_unet(dims):
    options = {"spatial_dims": dims, "strides": (1, (1, *[2] * (dims - 1)), 2, 2)}
    plain, gated = build(UNet, **options), build(AttentionUNet, gate_finest=True, **options)
    missing, unexpected = gated.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert all(name.startswith("gates.") for name in missing)
    x = torch.randn(1, 2, *[16] * dims)
    assert not torch.allclose(gated(x), plain(x), atol=1e-3)
    for gate in gated.gates:
        torch.nn.init.zeros_(gate.score.weight)
        torch.nn.init.constant_(gate.score.bias, 100.0)
    torch.testing.assert_close(gated(x), plain(x))


@pytest.mark.parametrize("stride", [(2, 2), (1, 2), (2, 2, 2), (1, 2, 2), (1, 1)])
def test_the_coefficients_are_those_of_the_equations_as_numpy_and_scipy_compute_them(stride):
    torch.manual_seed(0)
    gate = AttentionGate(3, 5, stride=stride)
    torch.nn.init.normal_(gate.of_gate.bias)
    torch.nn.init.normal_(gate.score.bias)
    coarse = (4, 6, 5)[: len(stride)]
    fine = tuple(n * s for n, s in zip(coarse, stride, strict=True))
    skip, signal = torch.randn(1, 3, *fine), torch.randn(1, 5, *coarse)
    found = gate.coefficients(skip, signal)
    assert found.shape == (1, 1, *fine)
    assert ((found > 0) & (found < 1)).all()

    w = {name: p.detach().double().numpy() for name, p in gate.named_parameters()}
    x, g = skip[0].double().numpy(), signal[0].double().numpy()
    score = np.empty(coarse)
    for at in np.ndindex(*coarse):
        box = tuple(slice(i * s, (i + 1) * s) for i, s in zip(at, stride, strict=True))
        of_skip = np.tensordot(w["of_skip.weight"], x[:, *box], axes=x.ndim)
        of_gate = w["of_gate.weight"].reshape(3, 5) @ g[:, *at] + w["of_gate.bias"]
        met = np.maximum(of_skip + of_gate, 0)
        score[at] = w["score.weight"].ravel() @ met + w["score.bias"].item()
    alpha = 1 / (1 + np.exp(-score))
    expected = ndimage.zoom(alpha, stride, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(found[0, 0].detach().numpy(), expected, atol=1e-5)
    torch.testing.assert_close(gate(skip, signal), skip * found)


@pytest.mark.parametrize("dims", [2, 3])
def test_where_both_see_the_same_resolution_the_gate_is_that_of_monai(dims):
    from monai.networks.nets.attentionunet import AttentionBlock

    torch.manual_seed(0)
    theirs = AttentionBlock(dims, f_int=4, f_g=6, f_l=4).eval()  # fresh batch norms do nothing
    ours = AttentionGate(4, 6, stride=(1,) * dims)
    torch.nn.init.zeros_(theirs.W_x[0].conv.bias)  # one bias of the sum is enough
    ours.of_skip.weight.data = theirs.W_x[0].conv.weight.data
    ours.of_gate.load_state_dict(theirs.W_g[0].conv.state_dict())
    ours.score.load_state_dict(theirs.psi[0].conv.state_dict())
    skip, signal = torch.randn(2, 4, *[6] * dims), torch.randn(2, 6, *[6] * dims)
    torch.testing.assert_close(ours(skip, signal), theirs(signal, skip), atol=1e-4, rtol=1e-4)


def test_the_gating_signal_is_what_the_decoder_found_one_stage_below():
    network = build(AttentionUNet)
    outputs, signals = {}, {}
    for name in ("encoder.3", "decoder.2", "decoder.1", "encoder.2", "encoder.1"):
        network.get_submodule(name).register_forward_hook(
            lambda _, args, output, name=name: outputs.update({name: output})
        )
    for name in ("gates.1", "gates.0"):
        network.get_submodule(name).register_forward_hook(
            lambda _, args, output, name=name: signals.update({name: args})
        )
    network(torch.randn(1, 2, 16, 16))
    for gate, skip, signal in (
        ("gates.1", "encoder.2", "encoder.3"),
        ("gates.0", "encoder.1", "decoder.2"),
    ):
        assert signals[gate][0] is outputs[skip]
        assert signals[gate][1] is outputs[signal]
    assert outputs["encoder.3"].shape == (1, 10, 2, 2)  # total stride 8


def test_the_finest_skip_has_a_gate_only_if_asked():
    assert len(build(AttentionUNet).gates) == 2
    assert len(build(AttentionUNet, gate_finest=True).gates) == 3
    with pytest.raises(InputError, match=r"two stages has no gate(.|\n)*gate_finest: true"):
        build(AttentionUNet, features=(4, 6))
    assert len(build(AttentionUNet, features=(4, 6), gate_finest=True).gates) == 1
