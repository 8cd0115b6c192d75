from __future__ import annotations

import pytest
import torch

from medseg.errors import InputError
from medseg.inference.window import SlidingWindow
from medseg.networks import UNETR

TINY = {"hidden_size": 12, "mlp_dim": 24, "num_heads": 2, "feature_size": 4}


def test_parameters_are_the_published_ones():
    with torch.device("meta"):
        network = UNETR(spatial_dims=3, in_channels=1, num_classes=14, img_size=(96, 96, 96))
    count = sum(p.numel() for p in network.parameters())
    assert count / 1e6 == pytest.approx(92.58, rel=0.005)  # Hatamizadeh et al., table 4


def test_the_encoder_is_vit_b_16():
    with torch.device("meta"):
        vit = UNETR(spatial_dims=3, in_channels=1, num_classes=14, img_size=(96, 96, 96)).vit
    # query, key and value without biases; two norms; a perceptron of four times the width
    layer = 4 * 768**2 + 768 + 4 * 768 + 8 * 768**2 + 4 * 768 + 768
    tokens = (16**3 + 1) * 768 + 6**3 * 768
    assert sum(p.numel() for p in vit.parameters()) == 12 * layer + tokens + 2 * 768


def test_every_token_reaches_every_voxel():
    network = UNETR(spatial_dims=2, in_channels=1, num_classes=1, img_size=(16, 96), **TINY)
    x = torch.randn(1, 1, 16, 96, requires_grad=True)
    network(x)[0, 0, 0, 0].backward()
    assert x.grad[0, 0, -1, -1] != 0


def test_weights_of_monais_network_load_but_for_the_norms_it_never_uses():
    from monai.networks.nets import UNETR as Reference

    reference = Reference(in_channels=2, out_channels=3, img_size=(16, 32), spatial_dims=2, **TINY)
    network = UNETR(spatial_dims=2, in_channels=2, num_classes=3, img_size=(16, 32), **TINY)
    found = network.load_state_dict(reference.state_dict(), strict=False)
    assert not found.missing_keys
    assert all("norm_cross_attn" in key for key in found.unexpected_keys)
    x = torch.randn(1, 2, 16, 32)
    assert torch.equal(network(x), reference(x))


def test_another_size_than_the_one_it_was_built_for_is_refused():
    network = UNETR(spatial_dims=2, in_channels=1, num_classes=2, img_size=(16, 32), **TINY)
    with pytest.raises(InputError, match=r"\(16, 32\)"):
        network(torch.zeros(1, 1, 32, 32))


def test_a_sliding_window_over_any_image_gives_it_its_size():
    network = UNETR(spatial_dims=2, in_channels=1, num_classes=2, img_size=(16, 32), **TINY).eval()
    for size in ((40, 50), (9, 11)):
        with torch.no_grad():
            logits = SlidingWindow((16, 32), batch_size=2)(network, torch.randn(1, 1, *size))
        assert logits.shape == (1, 2, *size)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"img_size": (16, 24)}, "multiple of 16"),
        ({"img_size": (16,)}, "2 numbers"),
        ({"num_heads": 5}, "divide hidden_size"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        UNETR(
            **{"spatial_dims": 2, "in_channels": 1, "num_classes": 2, "img_size": (16, 16)}
            | TINY
            | arguments
        )
