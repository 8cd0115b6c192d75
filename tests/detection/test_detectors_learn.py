"""Each detector learns the boxes of one small phantom by heart, and is surest of right ones."""

from __future__ import annotations

import pytest
import torch

from medseg.detection.anchors import AnchorGenerator
from medseg.detection.centre_peaks import boxes_at_peaks
from medseg.detection.decoding import boxes_of
from medseg.geometry.box_overlap import iou
from medseg.losses.centre_point_loss import CentrePointLoss
from medseg.losses.detection_loss import DetectionLoss
from medseg.networks.detection import CentreNet, RetinaNet, RetinaUNet

SIZE = {2: (48, 64), 3: (16, 24, 16)}
BOXES = {
    2: [[4, 6, 13, 15], [26, 8, 40, 24], [10, 40, 18, 48], [28, 44, 44, 58]],
    3: [[2, 3, 2, 8, 9, 8], [4, 11, 5, 15, 23, 14]],
}
STEPS = 50


def phantom(ndim):
    """Make a noisy patch ``(1, 1, *S)`` of ellipsoids, bright and dark by turns, and its mask."""
    generator = torch.Generator().manual_seed(0)
    image = 0.3 * torch.randn(1, 1, *SIZE[ndim], generator=generator)
    mask = torch.zeros(1, 1, *SIZE[ndim], dtype=torch.int64)
    boxes = torch.tensor(BOXES[ndim], dtype=torch.float32)
    classes = torch.arange(len(boxes)) % 2
    axes = torch.meshgrid(*(torch.arange(n) + 0.5 for n in SIZE[ndim]), indexing="ij")
    for box, kind in zip(boxes, classes, strict=True):
        middle, half = (box[:ndim] + box[ndim:]) / 2, (box[ndim:] - box[:ndim]) / 2
        away = sum(((x - m) / h) ** 2 for x, m, h in zip(axes, middle, half, strict=True))
        image[0, 0][away < 1] += 2.0 if kind == 0 else -2.0
        mask[0, 0][away < 1] = kind + 1
    return image, boxes, classes, mask


def build(cls, ndim, **kwargs):
    return cls(
        spatial_dims=ndim,
        in_channels=1,
        num_classes=2,
        features=(6, 12, 16),
        channels=16,
        head_convs=1,
        **kwargs,
    )


def check(found, boxes, classes):
    """Every box is found with its class, and no wrong box is surer than a right one."""
    overlap = iou(found.corners, boxes)
    right = (overlap > 0.5) & (found.classes[:, None] == classes)
    assert right.any(dim=0).all(), overlap.amax(dim=0)
    hit = right.any(dim=1)
    assert hit[: len(boxes)].all(), (found.scores, hit)


@pytest.mark.parametrize(
    ("ndim", "classification", "regression"),
    [
        (2, "bce", "giou"),
        (2, "focal", "giou"),
        (2, "bce", "smooth_l1"),
        (2, "focal", "smooth_l1"),
        (3, "bce", "giou"),
        (3, "focal", "smooth_l1"),
    ],
)
def test_retina_net_finds_the_boxes(ndim, classification, regression):
    image, boxes, classes, _ = phantom(ndim)
    torch.manual_seed(0)
    network = build(RetinaNet, ndim, num_anchors=2, levels=(1, 2))
    generator = AnchorGenerator(
        [[(6.0,) * ndim, (9.0,) * ndim], [(12.0,) * ndim, (18.0,) * ndim]], network.strides
    )
    loss = DetectionLoss(generator, classification=classification, regression=regression)
    output = learn(network, lambda output: loss(output, [boxes], [classes]).total, image)
    check(boxes_of(output, generator(output.shapes)), boxes, classes)


@pytest.mark.parametrize("ndim", [2, 3])
def test_retina_unet_finds_the_boxes_and_the_masks(ndim):
    image, boxes, classes, mask = phantom(ndim)
    torch.manual_seed(0)
    network = build(RetinaUNet, ndim, num_anchors=2, levels=(1, 2), segmentation_classes=2)
    generator = AnchorGenerator(
        [[(6.0,) * ndim, (9.0,) * ndim], [(12.0,) * ndim, (18.0,) * ndim]], network.strides
    )
    loss = DetectionLoss(generator)
    object_mask = (mask > 0).long()
    output = learn(
        network, lambda output: loss(output, [boxes], [classes], object_mask).total, image
    )
    check(boxes_of(output, generator(output.shapes)), boxes, classes)
    said = output.segmentation.argmax(1, keepdim=True)
    assert 2 * (said & object_mask).sum() / (said.sum() + object_mask.sum()) > 0.85


@pytest.mark.parametrize("ndim", [2, 3])
def test_centre_net_finds_the_boxes(ndim):
    image, boxes, classes, _ = phantom(ndim)
    torch.manual_seed(0)
    network = build(CentreNet, ndim, level=1)
    loss = CentrePointLoss(network.strides[0])
    output = learn(network, lambda output: loss(output, [boxes], [classes]).total, image)
    check(boxes_at_peaks(output, network.strides[0]), boxes, classes)


def learn(network, loss, image):
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(network(image)).backward()
        optimizer.step()
    with torch.no_grad():
        return network.eval()(image)
