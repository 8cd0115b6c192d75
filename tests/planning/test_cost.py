import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from medseg.networks import ResidualUNet, UNet
from medseg.planning.cost import Speed, convolutions, forward_flops, step_flops

SHAPES = [
    {
        "patch_size": (16, 24, 16),
        "strides": ((1, 1, 1), (2, 2, 2), (2, 2, 2)),
        "kernels": ((3, 3, 3),) * 3,
        "features": (4, 8, 16),
    },
    {
        "patch_size": (8, 32, 32),
        "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 1)),
        "kernels": ((1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3)),
        "features": (4, 6, 10, 10),
    },
    {
        "patch_size": (32, 48),
        "strides": ((1, 1), (2, 2), (2, 2)),
        "kernels": ((3, 3),) * 3,
        "features": (4, 8, 12),
    },
]


def network(shape, blocks):
    rest = {key: value for key, value in shape.items() if key != "patch_size"}
    kind, more = (UNet, {}) if blocks is None else (ResidualUNet, {"blocks_per_stage": blocks})
    dims = len(shape["patch_size"])
    return kind(spatial_dims=dims, in_channels=2, num_classes=3, **rest, **more)


@pytest.mark.parametrize("shape", SHAPES, ids=["isotropic", "anisotropic", "2d"])
@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
def test_the_closed_form_is_what_torch_counts(shape, residual):
    blocks = tuple(range(1, len(shape["features"]) + 1)) if residual else None
    one = network(shape, blocks)
    image = torch.randn(3, 2, *shape["patch_size"])
    options = {"in_channels": 2, "num_classes": 3, "blocks": blocks}
    with FlopCounterMode(display=False) as counter:
        logits = one(image)
    assert counter.get_total_flops() == 3 * forward_flops(convolutions(**shape, **options))
    with FlopCounterMode(display=False) as counter:
        one(image).square().mean().backward()
    assert logits.shape[1] == 3
    expected = step_flops(convolutions(**shape, **options), batch_size=3)
    assert counter.get_total_flops() == expected


def test_seconds_are_overhead_and_work():
    assert Speed(100.0, 50.0, 0.5).seconds(200, 25) == pytest.approx(3.0)
    assert Speed(100.0).seconds(200, 25) == pytest.approx(2.0)
