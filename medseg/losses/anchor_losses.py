"""Is an anchor an object, and how far is its box off? Losses of anchors, not yet averaged."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, smooth_l1_loss

from medseg.detection.box_coder import decode, encode
from medseg.geometry.box_overlap import iou, paired_giou

# IoU from which two boxes are one place: an anchor that has found the one has found the other.
ALIKE = 0.8


def class_targets(matched: Tensor, boxes: Tensor, classes: Tensor, num_classes: int) -> Tensor:
    """Return what the classification should say ``(M, K)``: 1 for each class of an anchor's box.

    An anchor has one box; where regions nest, such as an enhancing rim around a core, boxes of
    several classes are nearly the same one, and each class is a yes or no of its own.

    Args:
        matched: ``(M,)``, see `medseg.detection.atss.match`; rows of anchors without a box are 0.
        boxes: ``(N, 2n)``.
        classes: of the boxes ``(N,)``; below 0: ignored.
        num_classes: ``K``.
    """
    target = torch.zeros(len(matched), num_classes, device=matched.device)
    positive = torch.nonzero(matched >= 0)[:, 0]
    if not len(positive):
        return target
    kinds = torch.arange(num_classes, device=classes.device)
    own = classes[:, None] == kinds  # a class below 0 is none of them
    alike = iou(boxes, boxes) >= ALIKE
    alike.fill_diagonal_(True)
    of_place = (alike[:, :, None] & own[None]).any(dim=1)
    target[positive] = of_place[matched[positive]].to(target)
    return target


def sigmoid_focal(
    logits: Tensor, target: Tensor, *, gamma: float = 2.0, alpha: float = 0.25
) -> Tensor:
    """Return ``-α_t (1 - p_t)^γ log p_t`` of every value (Lin et al., arXiv 1708.02002).

    Args:
        logits: any shape.
        target: 0 or 1, of that shape.
        gamma: how far certain values are passed by; 0: not at all.
        alpha: weight of what is 1; ``1 - alpha`` is that of what is 0.
    """
    entropy = binary_cross_entropy_with_logits(logits, target, reduction="none")
    doubt = torch.sigmoid(torch.where(target > 0.5, -logits, logits))
    return torch.where(target > 0.5, alpha, 1 - alpha) * doubt**gamma * entropy


def giou_distance(deltas: Tensor, anchors: Tensor, boxes: Tensor) -> Tensor:
    """Return 1 - GIoU ``(P,)`` of decoded boxes and true ones (Rezatofighi et al., CVPR 2019)."""
    return 1 - paired_giou(decode(deltas, anchors), boxes.to(deltas))


def delta_distance(
    deltas: Tensor, anchors: Tensor, boxes: Tensor, *, beta: float = 1 / 9
) -> Tensor:
    """Return smooth L1 ``(P,)`` of deltas and true ones, averaged over their ``2n`` numbers.

    ``beta``: below it the loss is quadratic; that of Detectron and MONAI.
    """
    true = encode(boxes.to(deltas), anchors.to(deltas))
    return smooth_l1_loss(deltas, true, beta=beta, reduction="none").mean(dim=1)
