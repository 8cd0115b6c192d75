from __future__ import annotations

import pytest
import torch

from medseg.detection.anchors import AnchorGenerator
from medseg.detection.box_coder import decode
from medseg.detection.decoding import boxes_of
from medseg.detection.output import DetectionOutput, flattened

SHAPES = [(6, 4, 4), (3, 2, 2)]
SIZES = [[(6, 5, 5), (9, 6, 6)], [(12, 10, 10), (18, 12, 12)]]
CLASSES = 3


def an_output(seed=0, spread=2.0):
    torch.manual_seed(seed)
    generator = AnchorGenerator(SIZES, [(4, 4, 4), (8, 8, 8)])
    logits = [torch.randn(2, 2 * CLASSES, *shape) * spread for shape in SHAPES]
    deltas = [torch.randn(2, 2 * 6, *shape) * 0.1 for shape in SHAPES]
    return DetectionOutput(logits, deltas), generator(SHAPES)


def test_maps_come_in_the_order_of_the_anchors():
    output, anchors = an_output()
    logits, deltas = flattened(output)
    assert logits.shape == (2, len(anchors), CLASSES)
    row = 0
    for level, shape in enumerate(SHAPES):
        for i in range(shape[0]):
            for j in range(shape[1]):
                for k in range(shape[2]):
                    for a in range(2):
                        place = (1, slice(None), i, j, k)
                        expected = output.class_logits[level][place].view(2, CLASSES)[a]
                        assert torch.equal(logits[1, row], expected)
                        expected = output.box_deltas[level][place].view(2, 6)[a]
                        assert torch.equal(deltas[1, row], expected)
                        row += 1


@pytest.mark.parametrize("image", [0, 1])
def test_monai_selects_the_same_boxes(image):
    theirs = pytest.importorskip("monai.apps.detection.utils.box_selector")
    output, anchors = an_output()
    logits, deltas = flattened(output)
    counts = [2 * torch.Size(shape).numel() for shape in SHAPES]
    boxes = decode(deltas[image], anchors)
    selector = theirs.BoxSelector(
        score_thresh=0.1, topk_candidates_per_level=60, nms_thresh=0.22, detections_per_img=25
    )
    expected = selector.select_boxes_per_image(
        list(boxes.split(counts)), list(logits[image].split(counts)), (24, 16, 16)
    )
    ours = boxes_of(
        output, anchors, image=image, size=(24, 16, 16), score=0.1, top=60, nms=0.22, limit=25
    )
    # MONAI drops slices of less than a voxel, too; here are none.
    assert len(ours.scores) > 10
    for mine, other in zip(ours, expected, strict=True):
        assert torch.allclose(mine.double(), other.double(), atol=1e-4)


def test_a_silent_network_finds_nothing():
    output, anchors = an_output()
    silent = output._replace(class_logits=[level * 0 - 9 for level in output.class_logits])
    found = boxes_of(silent, anchors)
    assert found.corners.shape == (0, 6)
    assert found.scores.shape == found.classes.shape == (0,)


def test_boxes_may_reach_out_of_a_tile_unless_it_is_given():
    output, anchors = an_output()
    assert (boxes_of(output, anchors).corners < 0).any()
    inside = boxes_of(output, anchors, size=(24, 16, 16)).corners
    assert (inside >= 0).all()
    assert (inside[:, 3:] <= torch.tensor([24, 16, 16])).all()


def test_half_precision_is_decoded_in_single():
    output, anchors = an_output()
    half = DetectionOutput(
        [v.half() for v in output.class_logits], [v.half() for v in output.box_deltas]
    )
    found = boxes_of(half, anchors)
    assert found.corners.dtype == found.scores.dtype == torch.float32
