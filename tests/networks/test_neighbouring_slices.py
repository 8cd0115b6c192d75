"""2.5D: each slice is decided on together with its neighbours."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medseg.inference.window import SlidingWindow
from medseg.networks import registry
from medseg.networks.neighbouring_slices import NeighbouringSlices, slices_as_channels
from medseg.networks.unet import UNet


class Shows(nn.Module):
    """Gives one of its input channels as logits."""

    def __init__(self, channel: int) -> None:
        super().__init__()
        self.channel = channel

    def forward(self, x):
        return x[:, self.channel : self.channel + 1]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("neighbours", [1, 2])
def test_each_channel_is_a_neighbouring_slice(axis, neighbours):
    x = torch.randn(2, 3, 7, 8, 9)
    stacked = slices_as_channels(x, axis=axis, neighbours=neighbours)
    for number in range(2 * neighbours + 1):
        kept = x.shape[axis + 2] - 2 * neighbours
        wanted = x.narrow(axis + 2, number, kept)
        assert torch.equal(stacked[:, 3 * number : 3 * (number + 1)], wanted)


def test_a_volume_is_predicted_slice_by_slice_with_zeros_beyond_its_ends():
    image = torch.randn(1, 1, 12, 10, 5)
    window = SlidingWindow((8, 8, 1), overlap=0.5)
    zeros = torch.zeros(1, 1, 12, 10, 1)
    padded = torch.cat([zeros, image, zeros], dim=-1)
    for channel in range(3):
        network = NeighbouringSlices(Shows(channel), axis=2, neighbours=1)
        wanted = padded[..., channel : channel + 5]
        assert torch.allclose(window(network, image), wanted, atol=1e-6)


def test_it_is_the_2d_network_of_the_slices_as_channels():
    torch.manual_seed(0)
    structure = {"features": (4, 8), "num_classes": 2, "in_channels": 3}
    flat = UNet(spatial_dims=2, strides=((1, 1), (2, 2)), kernels=((3, 3), (3, 3)), **structure)
    strides, kernels = ((1, 1, 1), (2, 2, 1)), ((3, 3, 1), (3, 3, 1))
    deep = UNet(spatial_dims=3, strides=strides, kernels=kernels, **structure)
    deep.load_state_dict(
        {
            name: value.reshape(deep.state_dict()[name].shape)
            for name, value in flat.state_dict().items()
        }
    )
    image = torch.randn(1, 1, 16, 16, 7)
    network = NeighbouringSlices(deep, axis=2, neighbours=1).eval()
    with torch.no_grad():
        volume = SlidingWindow((16, 16, 1))(network, image)
        for k in range(1, 6):
            slice_ = flat.eval()(image[0, 0, :, :, k - 1 : k + 2].permute(2, 0, 1)[None])
            assert torch.allclose(volume[..., k], slice_, atol=1e-5)


def test_it_is_rebuilt_from_its_record_with_its_weights():
    inner = {
        "name": "unet",
        "arguments": {
            "spatial_dims": 3,
            "in_channels": 5,
            "num_classes": 2,
            "features": [4, 8],
            "strides": [[1, 1, 1], [2, 2, 1]],
            "kernels": [[3, 3, 1], [3, 3, 1]],
        },
    }
    record = registry.with_neighbours(inner, axis=2, neighbours=2)
    first, second = registry.create(**record), registry.create(**record)
    second.load_state_dict(first.state_dict())
    x = torch.randn(1, 1, 16, 16, 5)
    assert first.input_context == (0, 0, 2)
    assert torch.equal(first.eval()(x), second.eval()(x))


@pytest.mark.parametrize("wrong", [{"axis": 3, "neighbours": 1}, {"axis": 0, "neighbours": 0}])
def test_senseless_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match="axis"):
        NeighbouringSlices(Shows(0), **wrong)
