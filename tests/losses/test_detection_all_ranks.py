import pytest
import torch

from medseg.data.feed.sampler import part_of
from medseg.detection.anchors import AnchorGenerator
from medseg.detection.output import DetectionOutput
from medseg.losses import CentrePointLoss, DetectionLoss
from medseg.losses.all_ranks import over_all_ranks

ANCHORS = AnchorGenerator([[(6.0, 6.0)]], [(4, 4)])
# Every anchor is drawn: nothing is left to chance.
ALL = {"per_image": 10**6, "positives": 0.5, "at_least": 10**6, "pool": 1}
LOSSES = {
    "mined": lambda: DetectionLoss(ANCHORS, **ALL),
    "focal": lambda: DetectionLoss(ANCHORS, classification="focal", regression="smooth_l1"),
    "centres": lambda: CentrePointLoss((4, 4)),
}
# The first patches have few boxes: processes differ in what they see.
COUNTS = (0, 1, 0, 3, 4)


def example():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 2, 6, 5, generator=generator, dtype=torch.float64)
    deltas = 0.2 * torch.randn(5, 4, 6, 5, generator=generator, dtype=torch.float64)
    boxes = []
    for count in COUNTS:
        middle = 4 + 12 * torch.rand(count, 2, generator=generator)
        boxes.append(torch.cat([middle - 3, middle + 3], dim=1))
    return logits, deltas, boxes, [torch.arange(count) % 2 for count in COUNTS]


@pytest.mark.parametrize("name", LOSSES)
def test_two_processes_get_the_gradients_of_one_that_sees_all_patches(in_two_processes, name):
    loss = LOSSES[name]()
    logits, deltas, boxes, classes = example()
    whole = logits.clone().requires_grad_(), deltas.clone().requires_grad_()
    value = loss(DetectionOutput([whole[0]], [whole[1]]), boxes, classes).total
    value.backward()

    def act(number):
        part = part_of(5, rank=number, world_size=2)
        mine = slice(part.start, part.stop)
        own = logits[mine].clone().requires_grad_(), deltas[mine].clone().requires_grad_()
        output = DetectionOutput([own[0]], [own[1]])
        with over_all_ranks(True):
            found = loss(output, boxes[mine], classes[mine]).total * (len(part) * 2 / 5)
        found.backward()
        # DistributedDataParallel takes the mean over processes; each patch is in one of them.
        for ours, theirs in zip(own, whole, strict=True):
            torch.testing.assert_close(ours.grad / 2, theirs.grad[mine], rtol=1e-6, atol=1e-9)

    in_two_processes(act)
