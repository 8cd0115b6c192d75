"""Every loss of ours teaches a tiny network one case, in slices and in volumes."""

import numpy as np
import pytest
import torch

from medseg.data.feed.sampling import box, patch_start
from medseg.data.phantoms.mr import make_mr_case
from medseg.losses import region_masks, registry
from medseg.networks import UNet

# These go on from weights that find the structure already; a recipe refuses them for fresh ones.
GOES_ON = ("boundary", "cl_dice")
CASES = [(name, False) for name in registry.EXCLUSIVE] + [(n, True) for n in registry.REGIONS]


def target_of(index, regions):
    """Turn indices of two classes into what a loss takes: themselves, or whole and core."""
    return region_masks(index, ((1, 2), (2,))) if regions else index


def certain(target, regions, size=30.0):
    """Make logits that say the target for certain."""
    if regions:
        return (target.float() * 2 - 1) * size
    return torch.nn.functional.one_hot(target[:, 0].long(), 3).movedim(-1, 1) * size


SIZES = {  # slices, volumes, and volumes of slices that are three times as thick
    "2d": ((32, 40), {"features": (8, 16, 32)}),
    "3d": ((12, 16, 12), {"features": (8, 16)}),
    "3d-anisotropic": (
        (8, 16, 16),
        {"features": (8, 16), "strides": (1, (1, 2, 2)), "kernels": ((1, 3, 3), 3)},
    ),
}


@pytest.fixture(scope="module", params=SIZES)
def case(request):
    """Give a part of a phantom ``(1, 1, *S)``, its indices, and how a network is wired for it."""
    size, wiring = SIZES[request.param]
    volume, label = make_mr_case(3)
    image, classes = volume.data, label.data
    if len(size) == 2:
        both = np.minimum((classes == 1).sum((0, 1)), (classes == 2).sum((0, 1)))
        image, classes = image[..., both.argmax()], classes[..., both.argmax()]
    if "strides" in wiring:
        image, classes = image[:, ::3], classes[::3]
    start = patch_start(
        classes.shape, size, np.random.default_rng(0), centre=np.argwhere(classes).mean(0)
    )
    image = torch.from_numpy(image[box(start, size)].copy())[None]
    index = torch.from_numpy(classes[box(start, size)].copy())[None, None]
    return (image - image.mean()) / image.std(), index, wiring


class Learner:
    """A tiny network that learns one case by heart."""

    def __init__(self, case, regions):
        self.image, index, self.wiring = case
        self.regions, self.target = regions, target_of(index, regions)
        self.dims = self.image.ndim - 2
        torch.manual_seed(0)
        self.network = UNet(
            spatial_dims=self.dims,
            in_channels=1,
            num_classes=2 if regions else 3,
            **self.wiring,
        )
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-2)

    def loss(self, name):
        spacing = (3.0, 1.0, 1.0) if "strides" in self.wiring else None
        return registry.create(name, regions=self.regions, spacing=spacing)

    def learn(self, name, *, until, steps):
        """Train until a condition holds; return whether it does after at most so many steps."""
        loss = self.loss(name)
        for _ in range(steps // 5):
            for _ in range(5):
                self.optimizer.zero_grad()
                loss(self.network(self.image), self.target).backward()
                self.optimizer.step()
            if until():
                return True
        return False

    @torch.no_grad()
    def dice(self):
        return dice_of(self.network(self.image), self.target, self.regions)

    @torch.no_grad()
    def value(self, name):
        return self.loss(name)(self.network(self.image), self.target).item()


@pytest.mark.parametrize(("name", "regions"), [c for c in CASES if c[0] not in GOES_ON])
def test_a_tiny_network_learns_a_case_by_heart(name, regions, case):
    learner = Learner(case, regions)
    assert learner.learn(name, until=lambda: learner.dice() >= 0.95, steps=200), learner.dice()


@pytest.mark.parametrize("regions", [False, True])
@pytest.mark.parametrize("name", GOES_ON)
def test_what_goes_on_from_weights_comes_near_its_least(name, regions, case):
    learner = Learner(case, regions)
    first = "dice_bce" if regions else "dice_ce"
    assert learner.learn(first, until=lambda: learner.dice() >= 0.8, steps=50)
    before = learner.value(name)
    least = learner.loss(name)(certain(learner.target, regions), learner.target).item()
    assert before > least + 0.2
    # The inner rim of a mask costs the boundary loss nothing, a width clDice: so not by Dice.
    near = least + 0.1 * (before - least)
    assert learner.learn(name, until=lambda: learner.value(name) < near, steps=100)


def dice_of(logits, target, regions):
    if regions:
        preds, true = logits > 0, target
    else:
        classes = torch.arange(1, 3).view(1, 2, *[1] * (logits.ndim - 2))
        preds, true = logits.argmax(1, keepdim=True) == classes, target == classes
    axes = (0, *range(2, logits.ndim))
    both = (preds & true).sum(axes)
    return (2 * both / (preds.sum(axes) + true.sum(axes))).mean().item()
