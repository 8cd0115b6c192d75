"""The detector's loss against closed forms and MONAI's detector."""

from __future__ import annotations

import math

import pytest
import torch

from medseg.detection.anchors import AnchorGenerator
from medseg.detection.atss import IGNORED, match
from medseg.detection.box_coder import decode, encode
from medseg.detection.output import DetectionOutput, flattened
from medseg.errors import InputError
from medseg.losses import DiceCELoss
from medseg.losses.anchor_losses import delta_distance, giou_distance, sigmoid_focal
from medseg.losses.detection_loss import DetectionLoss

SHAPES = {2: [(8, 8), (4, 4)], 3: [(6, 6, 4), (3, 3, 2)]}
CLASSES = 2


def generator_of(ndim):
    return AnchorGenerator(
        [[(6.0,) * ndim, (9.0,) * ndim], [(12.0,) * ndim, (18.0,) * ndim]],
        [(4,) * ndim, (8,) * ndim],
    )


def an_output(ndim, *, seed=0, batch=2):
    torch.manual_seed(seed)
    shapes = SHAPES[ndim]
    return DetectionOutput(
        [torch.randn(batch, 2 * CLASSES, *s, requires_grad=True) for s in shapes],
        [(0.2 * torch.randn(batch, 4 * ndim, *s)).requires_grad_() for s in shapes],
    )


def boxes_of(ndim, count, *, seed=0):
    torch.manual_seed(seed + 100)
    middle = 4 + torch.rand(count, ndim) * 14
    half = 2 + torch.rand(count, ndim) * 5
    return torch.cat([middle - half, middle + half], 1), torch.arange(count) % CLASSES


def everything(**kwargs):
    """Draw every positive and every negative: nothing is left to chance."""
    return {"per_image": 10**6, "positives": 0.5, "at_least": 10**6, "pool": 1, **kwargs}


@pytest.mark.parametrize("regression", ["giou", "smooth_l1"])
@pytest.mark.parametrize("classification", ["bce", "focal"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_the_terms_are_those_written_out(ndim, classification, regression):
    generator, output = generator_of(ndim), an_output(ndim)
    pairs = [boxes_of(ndim, 3), boxes_of(ndim, 2, seed=1)]
    loss = DetectionLoss(
        generator, classification=classification, regression=regression, **everything()
    )
    terms = loss(output, [b for b, _ in pairs], [c for _, c in pairs])

    logits, deltas = (values.detach() for values in flattened(output))
    anchors, counts = generator(SHAPES[ndim]), generator.counts(SHAPES[ndim])
    entropy, numbers, positives, off = 0.0, 0, 0, 0.0
    for i, (boxes, classes) in enumerate(pairs):
        matched = match(anchors, counts, boxes, per_place=2).tolist()
        for a, number in enumerate(matched):
            for k in range(CLASSES):
                is_it = number >= 0 and int(classes[number]) == k
                p = 1 / (1 + math.exp(-float(logits[i, a, k])))
                p_true, alpha = (p, 0.25) if is_it else (1 - p, 0.75)
                value = -math.log(p_true)
                if classification == "focal":
                    value *= alpha * (1 - p_true) ** 2
                entropy += value
                numbers += 1
            if number >= 0:
                positives += 1
                one = (deltas[i, a, None], anchors[a, None], boxes[number, None])
                distance = giou_distance if regression == "giou" else delta_distance
                off += float(distance(*one))
    assert positives > 10
    expected = entropy / (positives if classification == "focal" else numbers)
    assert float(terms.classes.detach()) == pytest.approx(expected, rel=1e-4)
    assert float(terms.boxes.detach()) == pytest.approx(off / positives, rel=1e-4)
    assert terms.segmentation is None
    assert torch.equal(terms.total, terms.classes + terms.boxes)


@pytest.mark.parametrize("ndim", [2, 3])
def test_monais_detector_has_the_same_losses(ndim):
    theirs = pytest.importorskip("monai.apps.detection.utils.box_coder")
    from monai.losses import BoxGIoULoss

    generator, output = generator_of(ndim), an_output(ndim, batch=1)
    boxes, classes = boxes_of(ndim, 3)
    anchors, counts = generator(SHAPES[ndim]), generator.counts(SHAPES[ndim])
    positive = match(anchors, counts, boxes, per_place=2)
    number, positive = positive[positive >= 0], positive >= 0
    deltas = flattened(output)[1][0]
    coder = theirs.BoxCoder([1.0] * (2 * ndim))
    said = coder.decode_single(deltas[positive], anchors[positive])
    giou = BoxGIoULoss(reduction="mean")(said, boxes[number])
    true = coder.encode_single(boxes[number], anchors[positive])
    l1 = torch.nn.SmoothL1Loss(beta=1 / 9)(deltas[positive], true)
    for regression, expected in (("giou", giou), ("smooth_l1", l1)):
        loss = DetectionLoss(generator, regression=regression, **everything())
        assert torch.allclose(loss(output, [boxes], [classes]).boxes, expected, rtol=1e-4)


def test_the_focal_loss_is_that_of_monai():
    monai = pytest.importorskip("monai.losses.focal_loss")
    logits = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * 4
    target = (torch.rand(50, 3, generator=torch.Generator().manual_seed(1)) > 0.7).float()
    expected = monai.sigmoid_focal_loss(logits, target, gamma=2.0, alpha=0.25)
    assert torch.allclose(sigmoid_focal(logits, target), expected, atol=1e-6)


@pytest.mark.parametrize("classification", ["bce", "focal"])
@pytest.mark.parametrize("regression", ["giou", "smooth_l1"])
@pytest.mark.parametrize("counts", [(0, 0), (0, 2)])
@pytest.mark.parametrize("ndim", [2, 3])
def test_patches_without_boxes_give_finite_gradients(ndim, counts, classification, regression):
    output = an_output(ndim)
    pairs = [boxes_of(ndim, count) for count in counts]
    loss = DetectionLoss(generator_of(ndim), classification=classification, regression=regression)
    terms = loss(output, [b for b, _ in pairs], [c for _, c in pairs])
    terms.total.backward()
    leaves = [*output.class_logits, *output.box_deltas]
    assert torch.isfinite(terms.total)
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves)
    assert sum(leaf.grad.abs().sum() for leaf in output.class_logits) > 0
    assert (terms.boxes > 0) == (sum(counts) > 0)


@pytest.mark.parametrize("classification", ["bce", "focal"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_ignored_anchors_count_nowhere(ndim, classification):
    generator, output = generator_of(ndim), an_output(ndim, batch=1)
    boxes, classes = boxes_of(ndim, 3)
    classes = torch.tensor([0, -1, 1])
    loss = DetectionLoss(generator, classification=classification, **everything())
    loss(output, [boxes], [classes]).total.backward()
    anchors, counts = generator(SHAPES[ndim]), generator.counts(SHAPES[ndim])
    matched = match(anchors, counts, boxes, classes=classes, per_place=2)
    gradient = flattened(
        DetectionOutput([v.grad for v in output.class_logits], [v.grad for v in output.box_deltas])
    )
    ignored = matched == IGNORED
    assert ignored.sum() > 3
    assert not gradient[0][0][ignored].any()
    assert gradient[0][0][~ignored].all()
    assert gradient[1][0][matched >= 0].any(dim=1).all()
    assert not gradient[1][0][matched < 0].any()


def test_what_is_said_right_costs_nothing():
    generator = generator_of(2)
    boxes, classes = boxes_of(2, 2)
    anchors, counts = generator(SHAPES[2]), generator.counts(SHAPES[2])
    matched = match(anchors, counts, boxes, per_place=2)
    logits, deltas = torch.full((len(anchors), CLASSES), -20.0), torch.zeros(len(anchors), 4)
    positive = matched >= 0
    logits[positive, classes[matched[positive]]] = 20.0
    deltas[positive] = encode(boxes[matched[positive]], anchors[positive])
    maps = [], []
    for target, values in zip(maps, (logits, deltas), strict=True):
        for part, shape in zip(values.split(counts), SHAPES[2], strict=True):
            target.append(part.view(*shape, -1).permute(2, 0, 1)[None])
    output = DetectionOutput(*maps)
    assert torch.equal(flattened(output)[0][0], logits)
    for classification in ("bce", "focal"):
        for regression in ("giou", "smooth_l1"):
            loss = DetectionLoss(generator, classification=classification, regression=regression)
            assert loss(output, [boxes], [classes]).total.item() < 1e-5


def test_mining_asks_for_as_many_as_it_says():
    output = an_output(2, batch=1)
    boxes, classes = boxes_of(2, 1)
    DetectionLoss(generator_of(2), per_image=6, positives=0.5)(
        output, [boxes], [classes]
    ).classes.backward()
    asked = flattened(DetectionOutput([v.grad for v in output.class_logits], output.box_deltas))[0]
    assert int(asked[0].any(dim=1).sum()) == 6


def test_masks_add_the_segmentation_and_their_absence_adds_nothing():
    boxes, classes = boxes_of(2, 2)
    logits = torch.randn(1, 3, 32, 32, requires_grad=True)
    output = an_output(2, batch=1)._replace(segmentation=logits)
    target = torch.randint(0, 3, (1, 1, 32, 32))
    loss = DetectionLoss(generator_of(2), segmentation_weight=0.5, box_weight=2.0)
    terms = loss(output, [boxes], [classes], target)
    assert torch.allclose(terms.segmentation, 0.5 * DiceCELoss()(logits, target))
    assert torch.allclose(terms.total, terms.classes + terms.boxes + terms.segmentation)
    terms = loss(output, [boxes], [classes])
    terms.segmentation.backward()
    assert terms.segmentation == 0
    assert not logits.grad.any()


def test_half_precision_is_computed_in_single():
    output, (boxes, classes) = an_output(3, batch=1), boxes_of(3, 2)
    half = DetectionOutput(*([v.half() for v in part] for part in output[:2]))
    loss = DetectionLoss(generator_of(3), **everything())
    exact, rounded = (loss(o, [boxes], [classes]).total for o in (output, half))
    assert rounded.dtype == torch.float32
    assert torch.allclose(exact, rounded, rtol=1e-2)


def test_mistaken_settings_are_refused():
    with pytest.raises(InputError, match="classification"):
        DetectionLoss(generator_of(2), classification="dice")
    with pytest.raises(InputError, match="regression"):
        DetectionLoss(generator_of(2), regression="l3")
    lone = AnchorGenerator([[(6.0, 6)], [(12.0, 12)]], [(4, 4), (8, 8)])
    with pytest.raises(InputError, match="anchors"):
        DetectionLoss(lone)(an_output(2, batch=1), *([part] for part in boxes_of(2, 1)))


def test_giou_pulls_a_box_that_does_not_overlap():
    anchor, box = torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([[8.0, 0, 12, 4]])
    deltas = torch.zeros(1, 4, requires_grad=True)
    giou_distance(deltas, anchor, box).sum().backward()
    assert deltas.grad[0, 0] < 0, "to the right, by a step against the gradient"
    with torch.no_grad():
        assert torch.equal(decode(deltas, anchor), anchor)
