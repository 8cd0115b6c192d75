from __future__ import annotations

import pytest
import torch

from medseg.errors import InputError
from medseg.networks import SegResNet


def closed_form(filters, in_channels, num_classes, *, dims=3, down=(1, 2, 2, 4)):
    """Parameters: biases only in norms and in the last convolution, one block per stage up."""

    def block(channels):
        return 2 * (2 * channels + 3**dims * channels**2)

    total = 3**dims * in_channels * filters
    for stage, count in enumerate(down):
        channels = filters * 2**stage
        total += count * block(channels)
        if stage:
            total += 3**dims * channels * channels // 2  # strided convolution
            total += channels * channels // 2 + block(channels // 2)  # way up
    return total + 2 * filters + (filters + 1) * num_classes


@pytest.mark.parametrize(
    ("filters", "millions"),
    # 16: github.com/MrGiovanni/SuPreM, issue 8, of MONAI's SegResNet with 1 channel; the others
    # follow by the closed form.
    [(8, 1.18), (16, 4.7), (32, 18.8)],
)
def test_parameters_are_the_published_ones(filters, millions):
    with torch.device("meta"):
        network = SegResNet(spatial_dims=3, in_channels=1, num_classes=25, init_filters=filters)
    count = sum(p.numel() for p in network.parameters())
    assert count == closed_form(filters, 1, 25)
    assert count / 1e6 == pytest.approx(millions, abs=0.01)


def test_parameters_in_2d_follow_the_same_form():
    network = SegResNet(spatial_dims=2, in_channels=3, num_classes=2, init_filters=8)
    assert sum(p.numel() for p in network.parameters()) == closed_form(8, 3, 2, dims=2)


def test_the_encoder_halves_three_times():
    network = SegResNet(spatial_dims=2, in_channels=1, num_classes=2, init_filters=8)
    _, stages = network.encode(torch.zeros(1, 1, 32, 48))
    assert [tuple(s.shape[1:]) for s in stages] == [
        (8, 32, 48),
        (16, 16, 24),
        (32, 8, 12),
        (64, 4, 6),
    ]


def test_weights_of_monais_network_load():
    from monai.networks.nets import SegResNet as Reference

    reference = Reference(spatial_dims=2, init_filters=8, in_channels=2, out_channels=3)
    network = SegResNet(spatial_dims=2, in_channels=2, num_classes=3, init_filters=8)
    network.load_state_dict(reference.state_dict())
    x = torch.randn(1, 2, 16, 24)
    assert torch.equal(network(x), reference(x))


def test_dropout_acts_in_training_only():
    network = SegResNet(spatial_dims=2, in_channels=1, num_classes=2, init_filters=8, dropout=0.5)
    x = torch.randn(1, 1, 16, 16)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"init_filters": 12}, "multiple of 8"),
        ({"blocks_down": (2,)}, "two stages"),
        ({"blocks_down": (1, 1, 1), "blocks_up": (1,)}, "blocks_up"),
        ({"blocks_down": (1, 0)}, "blocks_down"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        SegResNet(spatial_dims=2, in_channels=1, num_classes=2, **arguments)
