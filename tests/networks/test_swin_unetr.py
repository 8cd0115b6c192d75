from __future__ import annotations

import pytest
import torch

from medseg.errors import InputError
from medseg.networks import SwinUNETR


@pytest.mark.parametrize(
    ("feature_size", "millions"),
    # 62 million: the authors, github.com/Project-MONAI/research-contributions, issue 58, of arXiv
    # 2111.14791, table S.3; to two digits it is 62.19 for the 4 channels and 3 regions of BraTS.
    [(48, 62.19), (24, 15.7)],
)
def test_parameters_are_the_published_ones(feature_size, millions):
    network = SwinUNETR(spatial_dims=3, in_channels=4, num_classes=3, feature_size=feature_size)
    count = sum(p.numel() for p in network.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize(("dims", "size"), [(2, (64, 96)), (3, (32, 32, 64))])
def test_the_encoder_gives_strides_of_2_to_32_and_doubles_its_channels(dims, size):
    network = SwinUNETR(spatial_dims=dims, in_channels=1, num_classes=2, feature_size=12)
    stages = network.swinViT(torch.randn(1, 1, *size))
    assert [s.shape[1] for s in stages] == [12, 24, 48, 96, 192]
    assert [tuple(s.shape[2:]) for s in stages] == [
        tuple(n // 2**i for n in size) for i in range(1, 6)
    ]


def test_weights_of_monais_network_load():
    from monai.networks.nets import SwinUNETR as Reference

    reference = Reference(in_channels=2, out_channels=3, feature_size=12, spatial_dims=2)
    network = SwinUNETR(spatial_dims=2, in_channels=2, num_classes=3, feature_size=12)
    network.load_state_dict(reference.state_dict())
    x = torch.randn(1, 2, 32, 64)
    assert torch.equal(network(x), reference(x))


def test_checkpointing_changes_no_gradient():
    small = {"feature_size": 12, "depths": (1, 2, 1, 1), "window_size": 2}

    def gradient(**options):
        torch.manual_seed(0)
        network = SwinUNETR(spatial_dims=2, in_channels=1, num_classes=2, **small, **options)
        network(torch.ones(1, 1, 32, 64)).square().mean().backward()
        return network.swinViT.patch_embed.proj.weight.grad

    assert torch.allclose(gradient(), gradient(checkpointing=True), atol=1e-6)


def test_residual_stages_add_a_convolution_before_each_stage():
    options = {"spatial_dims": 2, "in_channels": 1, "num_classes": 2, "feature_size": 12}
    count = [
        sum(p.numel() for p in SwinUNETR(**options, residual_stages=chosen).parameters())
        for chosen in (False, True)
    ]
    # two 3x3 convolutions without bias and norms without weights, for 12, 24, 48 and 96 channels
    assert count[1] - count[0] == sum(2 * 9 * c**2 for c in (12, 24, 48, 96))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"feature_size": 20}, "feature_size: 24"),
        ({"depths": (2, 2, 2)}, "four stages"),
        ({"num_heads": (3, 6, 12)}, "four stages"),
        ({"num_heads": (5, 6, 12, 24)}, "must divide"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        SwinUNETR(spatial_dims=2, in_channels=1, num_classes=2, **arguments)
