"""What a step costs, held against closed forms and against steps that are taken."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from medseg.networks.registry import OURS, create
from medseg.networks.workload import workload
from medseg.planning.cost import convolutions, step_flops
from medseg.planning.memory import plain_activations, residual_activations

PLANS = {
    "2d": {
        "strides": ((1, 1), (2, 2), (1, 2)),
        "kernels": ((3, 3),) * 3,
        "features": (4, 8, 12),
    },
    "3d-anisotropic": {
        "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2)),
        "kernels": ((1, 3, 3), (3, 3, 3), (3, 3, 3)),
        "features": (4, 8, 12),
    },
}
SIZES = {"2d": (16, 32), "3d-anisotropic": (8, 16, 32)}


def arguments(plan, **more):
    dims = len(SIZES[plan])
    return {"spatial_dims": dims, "in_channels": 2, "num_classes": 3, **PLANS[plan], **more}


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("residual", [False, True])
def test_of_unets_it_is_the_planners_arithmetic(plan, residual):
    name, blocks = ("residual_unet", (1, 3, 4)) if residual else ("unet", None)
    size = SIZES[plan]
    shape = (size, PLANS[plan]["strides"])
    convs = convolutions(
        *shape,
        PLANS[plan]["kernels"],
        PLANS[plan]["features"],
        in_channels=2,
        num_classes=3,
        blocks=blocks,
    )
    found = workload(name, arguments(plan), in_channels=2, size=size)
    assert found.flops == step_flops(convs, batch_size=1)
    shape = (*shape, PLANS[plan]["features"])
    if not residual:  # its closed form counts the pooling of shortcuts as a layer
        assert found.values == plain_activations(*shape, num_classes=3)
    else:
        assert found.values <= residual_activations(*shape, blocks=blocks, num_classes=3)


@pytest.mark.parametrize("plan", PLANS)
def test_of_unet_plus_plus_it_is_that_of_its_nodes(plan):
    numbers, size = PLANS[plan], SIZES[plan]
    f, kernels = numbers["features"], [prod(k) for k in numbers["kernels"]]
    voxels, total = [], size
    for stride in numbers["strides"]:
        total = [n // s for n, s in zip(total, stride, strict=True)]
        voxels.append(prod(total))
    flops = values = 0
    for stage, (c, k) in enumerate(pairwise((2, *f))):
        flops += 2 * kernels[stage] * (c * k * (2 if stage == 0 else 3) + 3 * k * k) * voxels[stage]
        values += 2 * k * voxels[stage]
    for column in (1, 2):
        for stage in range(3 - column):
            k = f[stage]
            # A transposed convolution is applied at every coarse voxel.
            flops += 3 * 2 * f[stage + 1] * k * voxels[stage]
            flops += 3 * 2 * kernels[stage] * ((1 + column) * k * k + k * k) * voxels[stage]
            values += 3 * k * voxels[stage]
    flops += 3 * 2 * f[0] * 3 * voxels[0]
    values += 3 * voxels[0]
    found = workload("unet_plus_plus", arguments(plan), in_channels=2, size=size)
    assert found == (flops, values)


SMALL = {
    "segresnet": {"init_filters": 8},
    "swin_unetr": {"feature_size": 12, "depths": [1, 1, 1, 1], "window_size": 4},
    "unetr": {"hidden_size": 12, "mlp_dim": 24, "num_heads": 2, "img_size": [64, 32]},
    "mednext": {"init_filters": 4},
    "highres_net": {"features": [4, 6, 8]},
    "deepmedic": {"features": [4, 4], "hidden": [8]},
}


@pytest.mark.parametrize("name", [*OURS, "monai.BasicUNet"])
def test_of_every_network_it_is_what_a_step_computes(name):
    given = {"spatial_dims": 2, "in_channels": 1, "num_classes": 2, **SMALL.get(name, {})}
    if name.startswith("monai."):
        given = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "features": [4] * 6}
    before = torch.get_rng_state()
    found = workload(name, given, in_channels=1, size=(64, 32))
    assert torch.equal(torch.get_rng_state(), before)
    network = create(name, given)
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, 64, 32)).sum().backward()
    assert found.flops == counter.get_total_flops()


def test_the_heads_of_deep_supervision_cost_too():
    plain, deep = (
        workload("unet", arguments("2d", deep_supervision=on), in_channels=2, size=(16, 32))
        for on in (False, True)
    )
    coarse = 8 * 16
    assert deep.values - plain.values == 3 * coarse
    assert deep.flops - plain.flops == 3 * 2 * 8 * 3 * coarse
