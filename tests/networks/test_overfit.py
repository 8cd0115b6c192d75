"""Every network of the registry learns one case by heart, in 2D and in 3D."""

import numpy as np
import pytest
import torch

from medseg.data.feed.sampling import copy_patch, patch_start
from medseg.data.phantoms.mr import SHAPE, make_mr_case
from medseg.losses import DiceCELoss
from medseg.networks.registry import OURS, create, needs, plan_arguments, record, resolve
from medseg.planning.patch import Poolable
from medseg.planning.pooling import kernels

SIZES = {2: (32, 48), 3: (16, 32, 16)}
FEATURES = (8, 16, 32, 32, 32, 32)
SMALL = {  # of the networks whose width is not the plan's features
    "segresnet": {"init_filters": 8},
    "swin_unetr": {"feature_size": 12, "depths": [1, 1, 1, 1], "window_size": 4},
    "unetr": {"hidden_size": 48, "mlp_dim": 96, "num_heads": 4, "feature_size": 8},
    "mednext": {"init_filters": 8},
    "highres_net": {"features": [8, 12, 16]},
    "deepmedic": {"features": [12, 12, 16, 16], "hidden": [24]},
}


def volume_and_label(dims):
    """Make a phantom of half the size ``(1, I, J, K)``, or the slice with most of both classes."""
    if dims == 3:
        volume, label = make_mr_case(3, shape=[n // 2 for n in SHAPE])
        return volume.data, label.data
    volume, label = make_mr_case(3)
    k = int(np.minimum((label.data == 1).sum((0, 1)), (label.data == 2).sum((0, 1))).argmax())
    return volume.data[..., k], label.data[..., k]


def cut(name, arguments, dims):
    """Cut image and label around the foreground, to a size that the network takes; its strides."""
    image, label = volume_and_label(dims)
    wanted = needs(name, arguments, spatial_dims=dims)
    size, strides = Poolable((1.0,) * dims, needs=wanted).holding(SIZES[dims])
    centre = np.argwhere(label).mean(0)
    start = patch_start(label.shape, size, np.random.default_rng(0), centre=centre)
    around = [a - n for a, n in zip(start, wanted.context, strict=True)]
    x = torch.zeros(1, 1, *wanted.input_size(size))
    y = torch.zeros(1, 1, *size, dtype=torch.uint8)
    copy_patch((image - image.mean()) / image.std(), around, x[0])
    copy_patch(label[None], start, y[0])
    return x, y, strides


def mean_dice(logits, target):
    classes = torch.arange(1, 3).view(1, 2, *[1] * (target.ndim - 2))
    preds, true = logits.argmax(1, keepdim=True) == classes, target == classes
    dims = (0, *range(2, target.ndim))
    return (2 * (preds & true).sum(dims) / (preds.sum(dims) + true.sum(dims))).mean().item()


@pytest.mark.parametrize("dims", SIZES)
@pytest.mark.parametrize("name", OURS)
def test_a_case_is_learnt_by_heart(name, dims):
    arguments = SMALL.get(name, {})
    image, target, strides = cut(name, arguments, dims)
    wired = plan_arguments(
        name,
        resolve(name),
        spatial_dims=dims,
        in_channels=1,
        num_classes=3,
        patch_size=target.shape[2:],
        strides=strides,
        kernels=kernels((1.0,) * dims, strides),
        features=FEATURES[: len(strides)],
        arguments=arguments,
    )
    torch.manual_seed(0)
    network = create(**record(name, wired))
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    loss = DiceCELoss()
    for _ in range(30):
        for _ in range(10):
            optimizer.zero_grad()
            loss(network(image), target).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 12.0)
            optimizer.step()
        with torch.no_grad():
            dice = mean_dice(network(image), target)
        if dice >= 0.95:
            return
    pytest.fail(f"mean Dice {dice:.3f} after 300 steps")
