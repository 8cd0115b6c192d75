from __future__ import annotations

import math

import pytest
import torch

from medseg.detection.centre_targets import centre_targets
from medseg.detection.output import DetectionOutput
from medseg.losses.centre_point_loss import CentrePointLoss

STRIDE = {2: (4, 2), 3: (2, 4, 2)}
SHAPE = {2: (8, 10), 3: (8, 5, 6)}


def an_output(ndim, *, batch=2, seed=0):
    torch.manual_seed(seed)
    return DetectionOutput(
        [torch.randn(batch, 2, *SHAPE[ndim], requires_grad=True)],
        [torch.randn(batch, 2 * ndim, *SHAPE[ndim], requires_grad=True)],
    )


def boxes_of(ndim, count, *, seed=0):
    torch.manual_seed(seed + 100)
    middle = 4 + torch.rand(count, ndim) * 8
    half = 2 + torch.rand(count, ndim) * 3
    return torch.cat([middle - half, middle + half], 1), torch.arange(count) % 2


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_terms_are_those_written_out(ndim):
    output = an_output(ndim)
    pairs = [boxes_of(ndim, 3), boxes_of(ndim, 1, seed=1)]
    pairs[0][1][2] = -1
    loss = CentrePointLoss(STRIDE[ndim], size_weight=0.3, offset_weight=2.0)
    terms = loss(output, [b for b, _ in pairs], [c for _, c in pairs])

    focal = off = 0.0
    for i, (boxes, classes) in enumerate(pairs):
        target = centre_targets(
            boxes, classes, shape=SHAPE[ndim], stride=STRIDE[ndim], num_classes=2
        )
        for value, y, counts in zip(
            output.class_logits[0][i].flatten().tolist(),
            target.heatmap.flatten().tolist(),
            target.counted.repeat(2, *[1] * ndim).flatten().tolist(),
            strict=True,
        ):
            p = 1 / (1 + math.exp(-value))
            if y == 1:
                focal -= (1 - p) ** 2 * math.log(p)
            elif counts:
                focal -= (1 - y) ** 4 * p**2 * math.log(1 - p)
        for box, kind in zip(boxes.tolist(), classes.tolist(), strict=True):
            if kind < 0:
                continue
            middle = [(box[a] + box[ndim + a]) / 2 / STRIDE[ndim][a] for a in range(ndim)]
            size = [(box[ndim + a] - box[a]) / STRIDE[ndim][a] for a in range(ndim)]
            said = output.box_deltas[0][(i, slice(None), *map(math.floor, middle))].tolist()
            off += 2.0 * sum(abs(said[a] - middle[a] % 1) for a in range(ndim))
            off += 0.3 * sum(abs(said[ndim + a] - size[a]) for a in range(ndim))
    assert float(terms.classes.detach()) == pytest.approx(focal / 3, rel=1e-4)
    assert float(terms.boxes.detach()) == pytest.approx(off / 3, rel=1e-4)


@pytest.mark.parametrize("counts", [(0, 0), (0, 2)])
@pytest.mark.parametrize("ndim", [2, 3])
def test_patches_without_boxes_give_finite_gradients(ndim, counts):
    output = an_output(ndim)
    pairs = [boxes_of(ndim, count) for count in counts]
    terms = CentrePointLoss(STRIDE[ndim])(output, [b for b, _ in pairs], [c for _, c in pairs])
    terms.total.backward()
    for leaf in (output.class_logits[0], output.box_deltas[0]):
        assert torch.isfinite(leaf.grad).all()
    assert output.class_logits[0].grad.any()
    assert output.box_deltas[0].grad.any() == (sum(counts) > 0)


def test_certain_mistakes_stay_finite():
    output = DetectionOutput(
        [torch.tensor([[[[200.0, -200.0], [0.0, 200.0]]]], requires_grad=True)],
        [torch.zeros(1, 4, 2, 2)],
    )
    box = torch.tensor([[0.0, 2, 2, 4]])  # its centre is where the logit is -200
    terms = CentrePointLoss((2, 2))(output, [box], [torch.tensor([0])])
    terms.total.backward()
    assert torch.isfinite(terms.total)
    assert torch.isfinite(output.class_logits[0].grad).all()
