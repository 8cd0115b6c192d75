import pytest
import torch

from medseg.data.feed.sampler import part_of
from medseg.losses import CrossEntropyLoss, DiceCELoss, GeneralisedDiceLoss, RegionLoss
from medseg.losses.all_ranks import over_all_ranks, summed

LOSSES = {
    "dice of each patch": lambda: DiceCELoss(batch=False),
    "dice of all patches": lambda: DiceCELoss(batch=True),
    "weighted classes": lambda: DiceCELoss(batch=True, class_weights=[1, 2, 5]),
    "weighted cross-entropy": lambda: CrossEntropyLoss(class_weights=[1, 2, 5]),
    "generalised dice": lambda: GeneralisedDiceLoss(batch=True),
    "regions": lambda: RegionLoss(batch=True, class_weights=[1, 2, 5]),
}


def example(patches, *, regions):
    generator = torch.Generator().manual_seed(patches)
    logits = torch.randn(patches, 3, 6, 5, generator=generator, dtype=torch.float64)
    if regions:
        target = torch.rand(patches, 3, 6, 5, generator=generator) > 0.6
    else:
        # The first patches have few voxels of class 2: processes differ in what they see.
        target = torch.randint(3, (patches, 1, 6, 5), generator=generator)
        target[: patches // 2][target[: patches // 2] == 2] = 0
    valid = torch.rand(patches, 1, 6, 5, generator=generator) > 0.3
    return logits, target, valid


@pytest.mark.parametrize("patches", [4, 5])
@pytest.mark.parametrize("name", LOSSES)
def test_two_processes_get_the_gradients_of_one_that_sees_all_patches(
    in_two_processes, name, patches
):
    loss, regions = LOSSES[name](), name == "regions"
    logits, target, valid = example(patches, regions=regions)
    whole = logits.clone().requires_grad_()
    value = loss(whole, target.double() if regions else target, valid)
    value.backward()

    def act(number):
        part = part_of(patches, rank=number, world_size=2)
        mine = slice(part.start, part.stop)
        own = logits[mine].clone().requires_grad_()
        known = target[mine].double() if regions else target[mine]
        with over_all_ranks(True):
            found = loss(own, known, valid[mine]) * (len(part) * 2 / patches)
        found.backward()
        # DistributedDataParallel takes the mean over processes; each logit is in one of them.
        torch.testing.assert_close(own.grad / 2, whole.grad[mine], rtol=1e-6, atol=1e-9)
        both = torch.stack([found.detach(), torch.ones_like(found)])
        torch.distributed.all_reduce(both)
        assert float(both[0] / both[1]) == pytest.approx(float(value), rel=1e-6)

    in_two_processes(act)


def test_elsewhere_nothing_is_summed():
    values = torch.ones(3)
    assert summed(values) is values
    with over_all_ranks(False):
        assert summed(values) is values
