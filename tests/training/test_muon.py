import copy

import numpy as np
import pytest
import torch
from torch import nn

from medseg.networks import ResidualUNet
from medseg.training.muon import Muon, orthogonalise


def polynomial(s, steps):
    for _ in range(steps):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return s


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (9, 9)])
def test_orthogonalisation_maps_singular_values_by_the_quintic(shape):
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=shape)
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    expected = (u * polynomial(s / np.linalg.norm(matrix), 5)) @ v
    found = orthogonalise(torch.from_numpy(matrix)[None], dtype=torch.float64)[0]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon of its own")
@pytest.mark.parametrize(
    ("scale", "theirs"), [("original", "original"), ("adamw", "match_rms_adamw")]
)
@pytest.mark.parametrize("nesterov", [True, False])
def test_on_matrices_it_agrees_with_torchs_own(scale, theirs, nesterov):
    torch.manual_seed(0)
    ours = nn.Parameter(torch.randn(12, 40))
    reference = nn.Parameter(ours.detach().clone())
    options = {"lr": 0.02, "weight_decay": 0.1, "nesterov": nesterov}
    one = Muon([ours], scale=scale, **options)
    other = torch.optim.Muon([reference], adjust_lr_fn=theirs, **options)
    start = ours.detach().clone()
    for _ in range(5):
        gradient = torch.randn(12, 40)
        ours.grad, reference.grad = gradient.clone(), gradient.clone()
        one.step()
        other.step()
    moved = (reference - start).norm()
    assert (ours - reference).norm() / moved < 0.02  # torch computes in bfloat16


def test_a_kernel_is_stepped_as_the_matrix_of_its_filters():
    torch.manual_seed(0)
    kernel = nn.Parameter(torch.randn(16, 8, 3, 3, 3))
    matrix = nn.Parameter(kernel.detach().reshape(16, -1).clone())
    gradient = torch.randn_like(kernel)
    kernel.grad, matrix.grad = gradient, gradient.reshape(16, -1).clone()
    Muon([kernel], lr=0.1).step()
    Muon([matrix], lr=0.1).step()
    torch.testing.assert_close(kernel.reshape(16, -1), matrix)


def test_norms_biases_first_layer_and_heads_are_stepped_as_adamw_steps_them():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.Conv2d(16, 3, 1))
    twin = copy.deepcopy(network)
    one = Muon(network.parameters(), lr=0.01, weight_decay=0.1)
    other = torch.optim.AdamW(twin.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(4):
        x = torch.randn(2, 1, 8, 8)
        for net, optimizer in ((network, one), (twin, other)):
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()
    for a, b in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_kernels_alone_can_be_decayed():
    network = nn.Sequential(nn.Conv2d(1, 16, 3), nn.InstanceNorm2d(16, affine=True))
    network.append(nn.Conv2d(16, 16, 3, bias=False))
    optimizer = Muon(network.parameters(), weight_decay=0.5, adamw_weight_decay=0.0)
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert [decays[id(p)] for p in network.parameters()] == [0.0, 0.0, 0.0, 0.0, 0.5]


def test_most_weights_of_a_network_are_orthogonalised_and_it_learns():
    torch.manual_seed(0)
    network = ResidualUNet(
        spatial_dims=2, in_channels=1, num_classes=2, features=(8, 16), blocks_per_stage=1
    )
    optimizer = Muon(network.parameters(), lr=0.01)
    wide, rest = optimizer.param_groups
    assert sum(p.numel() for p in wide["params"]) > 5 * sum(p.numel() for p in rest["params"])
    x = torch.randn(2, 1, 16, 16)
    target = (x[:, 0] > 0).long()
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_its_state_goes_through_a_checkpoint_without_pickle(tmp_path):
    def train(parameter, optimizer, count):
        for i in range(count):
            parameter.grad = torch.full_like(parameter, 1.0 + i)
            optimizer.step()

    def pair():
        torch.manual_seed(0)
        parameters = nn.ParameterList([torch.randn(8, 8, 3), torch.randn(8)])
        return parameters, Muon(parameters, lr=0.1)

    whole, optimizer = pair()
    for p in whole:
        train(p, optimizer, 3)
    other, second = pair()
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    with torch.no_grad():
        for p, q in zip(other, whole, strict=True):
            p.copy_(q)
    for parameters, stepper in ((whole, optimizer), (other, second)):
        for p in parameters:
            p.grad = torch.ones_like(p)
        stepper.step()
    for p, q in zip(whole, other, strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize(
    "options",
    [
        {"scale": "large"},
        {"lr": -1.0},
        {"lr": float("nan")},
        {"momentum": -0.1},
        {"momentum": 5.0},
        {"betas": ()},
        {"betas": (0.9, 1.0)},
        {"eps": -1.0},
        {"steps": 0},
        {"adamw_weight_decay": -1.0},
    ],
)
def test_arguments_out_of_range_are_refused(options):
    with pytest.raises(ValueError):
        Muon([nn.Parameter(torch.zeros(8, 8))], **options)


def test_small_singular_values_of_a_long_matrix_survive_float32():
    torch.manual_seed(0)
    u, v = torch.linalg.qr(torch.randn(32, 32))[0], torch.linalg.qr(torch.randn(400, 32))[0]
    matrix = ((u * torch.logspace(0, -6, 32)) @ v.mT)[None]
    exact = orthogonalise(matrix.double())
    torch.testing.assert_close(orthogonalise(matrix).double(), exact, atol=2e-3, rtol=0)


def test_the_momentum_is_made_once(monkeypatch):
    kernel = nn.Parameter(torch.randn(12, 12, 3, 3))
    optimizer, made, zeros_like = Muon([kernel]), [], torch.zeros_like
    monkeypatch.setattr(torch, "zeros_like", lambda p: made.append(p) or zeros_like(p))
    for _ in range(3):
        kernel.grad = torch.ones_like(kernel)
        optimizer.step()
    assert len(made) == 1
