from __future__ import annotations

import pytest
import torch

from medseg.errors import InputError
from medseg.networks import MedNeXt

PUBLISHED = {  # millions of parameters, github.com/MIC-DKFZ/MedNeXt, README
    ("S", 3): 5.6,
    ("B", 3): 10.5,
    ("B", 5): 11.0,
    ("M", 3): 17.6,
    ("M", 5): 18.3,
    ("L", 3): 61.8,
    ("L", 5): 63.0,
}


def parameters(**options):
    defaults = {"spatial_dims": 3, "in_channels": 1, "num_classes": 14, "deep_supervision": True}
    with torch.device("meta"):
        network = MedNeXt(**{**defaults, **options})
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("preset", "kernel_size"), PUBLISHED)
def test_parameters_are_the_published_ones(preset, kernel_size):
    count = parameters(preset=preset, kernel_size=kernel_size)
    assert count / 1e6 == pytest.approx(PUBLISHED[preset, kernel_size], abs=0.05)


@pytest.mark.parametrize("preset", "SBML")
def test_a_larger_kernel_adds_only_to_the_depthwise_convolutions(preset):
    # 32 channels at the finest stage, twice as many at each coarser; a block up or down enters with
    # the channels of the stage that it leaves.
    blocks = {"S": [2] * 9, "B": [2] * 9, "M": [3, *[4] * 7, 3], "L": [3, 4, *[8] * 5, 4, 3]}[
        preset
    ]
    channels = [32 * 2**i for i in (0, 1, 2, 3, 4, 3, 2, 1, 0)]
    depthwise = sum(n * c for n, c in zip(blocks, channels, strict=True)) + sum(
        32 * 2**i for i in (0, 1, 2, 3, 4, 3, 2, 1)
    )
    grown = parameters(preset=preset, kernel_size=5) - parameters(preset=preset, kernel_size=3)
    assert grown == (5**3 - 3**3) * depthwise


def test_blocks_on_the_way_down_widen_like_the_stage_they_lead_to():
    network = MedNeXt(spatial_dims=2, in_channels=1, num_classes=2, preset="B", init_filters=2)
    widened = [block.conv2.out_channels // block.conv2.in_channels for block in network.down_blocks]
    assert widened == [3, 4, 4, 4]


def test_the_small_preset_is_monais():
    from monai.networks.nets import MedNeXtSmall

    reference = MedNeXtSmall(spatial_dims=2, in_channels=2, out_channels=3, deep_supervision=True)
    network = MedNeXt(spatial_dims=2, in_channels=2, num_classes=3, deep_supervision=True)
    network.load_state_dict(reference.state_dict())
    x = torch.randn(1, 2, 16, 32)
    for ours, theirs in zip(network(x), reference(x), strict=True):
        assert torch.equal(ours, theirs)


def test_deep_supervision_gives_five_heads_finest_first_in_training_only():
    network = MedNeXt(
        spatial_dims=3, in_channels=1, num_classes=2, init_filters=2, deep_supervision=True
    )
    x = torch.randn(1, 1, 16, 32, 16)
    heads = network(x)
    assert isinstance(heads, list)
    assert [tuple(h.shape) for h in heads] == [
        (1, 2, 16 // 2**i, 32 // 2**i, 16 // 2**i) for i in range(5)
    ]
    sum(h.square().mean() for h in heads).backward()
    assert all(p.grad is not None for p in network.parameters())
    assert torch.equal(network.eval()(x), heads[0])


@pytest.mark.parametrize(
    ("arguments", "message"), [({"preset": "XL"}, "S, B, M or L"), ({"kernel_size": 4}, "odd")]
)
def test_arguments_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        MedNeXt(spatial_dims=2, in_channels=1, num_classes=2, **arguments)
