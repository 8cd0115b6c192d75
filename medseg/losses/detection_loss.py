"""What a network with anchors learns from: classes, boxes, and masks where there are any."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from medseg.detection.anchors import AnchorGenerator
from medseg.detection.atss import IGNORED, match
from medseg.detection.hard_negatives import sample
from medseg.detection.output import DetectionOutput, flattened
from medseg.errors import InputError
from medseg.losses.anchor_losses import class_targets, delta_distance, giou_distance, sigmoid_focal
from medseg.losses.detection_terms import DetectionTerms, per, together
from medseg.losses.dice_ce import DiceCELoss

_BOX_LOSSES = {"giou": giou_distance, "smooth_l1": delta_distance}


class DetectionLoss(nn.Module):
    """Classification and regression of anchors, and segmentation where there are masks.

    Called with a network's output, and per image boxes ``(N, 2n)`` in voxel edges of the patch and
    their classes ``(N,)``, either may be of no boxes; gives `DetectionTerms`. Boxes of class -1 are
    ignored: anchors that are theirs (`medseg.detection.atss`) count nowhere.

    Averages go over all images of a step together:

    - ``bce``: binary cross-entropy over the anchors that hard-negative mining drew, averaged over
      anchors and classes (nnDetection; MONAI).
    - ``focal``: over all anchors, the sum divided by the number of positive ones (Lin et al., arXiv
      1708.02002).
    - ``giou`` or ``smooth_l1``: averaged over all positive anchors, drawn or not.

    Args:
        anchors: of the network's levels.
        classification: ``bce`` or ``focal``.
        regression: ``giou`` of decoded boxes, or ``smooth_l1`` of the deltas.
        box_weight: factor of the regression.
        segmentation_weight: factor of the segmentation.
        segmentation: loss of the segmentation; ``None``: Dice and cross-entropy.
        candidates, centres_inside: see `medseg.detection.atss.match`.
        per_image, positives, pool, at_least: of the mining, see `medseg.detection.hard_negatives`.
        gamma, alpha: of the focal loss, see `sigmoid_focal`.

    Raises:
        InputError: no such classification or regression; in ``forward``: the anchors are not those
            of the network.
    """

    def __init__(
        self,
        anchors: AnchorGenerator,
        *,
        classification: Literal["bce", "focal"] = "bce",
        regression: Literal["giou", "smooth_l1"] = "giou",
        box_weight: float = 1.0,
        segmentation_weight: float = 1.0,
        segmentation: nn.Module | None = None,
        candidates: int = 4,
        centres_inside: bool = False,
        per_image: int = 32,
        positives: float = 1 / 3,
        pool: float = 20,
        at_least: int = 1,
        gamma: float = 2.0,
        alpha: float = 0.25,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("classification", classification, ("bce", "focal")),
            ("regression", regression, tuple(_BOX_LOSSES)),
        ):
            if value not in known:
                raise InputError(
                    f"there is no such {name} loss", expected=" or ".join(known), found=str(value)
                )
        self.anchors = anchors
        self.classification = classification
        self.box_distance = _BOX_LOSSES[regression]
        self.box_weight = box_weight
        self.segmentation_weight = segmentation_weight
        self.segmentation = DiceCELoss() if segmentation is None else segmentation
        self.match = partial(
            match,
            per_place=anchors.per_place,
            candidates=candidates,
            centres_inside=centres_inside,
        )
        self.sample = partial(
            sample, per_image=per_image, positives=positives, pool=pool, at_least=at_least
        )
        self.focal = partial(sigmoid_focal, gamma=gamma, alpha=alpha)

    def forward(
        self,
        output: DetectionOutput,
        boxes: Sequence[Tensor],
        classes: Sequence[Tensor],
        segmentation: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> DetectionTerms:
        """Return the loss and its terms.

        Args:
            output: of a batch of ``B`` patches.
            boxes: per patch ``(N, 2n)``.
            classes: per patch ``(N,)``.
            segmentation: what the segmentation should say, ``(B, 1, *S)``; ``None``: it learns
                nothing.
            valid: voxels that the segmentation learns from, ``(B, 1, *S)``; ``None``: all.
        """
        logits, deltas = flattened(output)
        anchors = self.anchors(output.shapes, device=logits.device)
        if len(anchors) != logits.shape[1]:
            raise InputError(
                "the network has another number of anchors than the loss",
                expected=f"{self.anchors.per_place} at each place",
                found=str(output.anchors_per_place),
                remedy="build the network with num_anchors of the anchors",
            )
        counts = self.anchors.counts(output.shapes)
        matches = [
            self.match(anchors, counts, own, classes=kinds)
            for own, kinds in zip(boxes, classes, strict=True)
        ]
        return together(
            self._classes(logits, matches, boxes, classes),
            self.box_weight * self._boxes(deltas, anchors, matches, boxes),
            self._segmentation(output.segmentation, segmentation, valid),
        )

    def _classes(
        self,
        logits: Tensor,
        matches: Sequence[Tensor],
        boxes: Sequence[Tensor],
        classes: Sequence[Tensor],
    ) -> Tensor:
        chosen, targets = [], []
        for logit, matched, own, kinds in zip(logits, matches, boxes, classes, strict=True):
            counted = matched != IGNORED
            if self.classification == "bce":
                positive, negative = self.sample(logit.detach().amax(dim=1), matched)
                counted = positive | negative
            chosen.append(logit[counted])
            targets.append(class_targets(matched[counted], own, kinds, logits.shape[2]))
        values, target = torch.cat(chosen), torch.cat(targets).to(logits)
        if self.classification == "focal":
            positives = torch.stack([(matched >= 0).sum() for matched in matches]).sum()
            return per(self.focal(values, target).sum(), positives)
        total = binary_cross_entropy_with_logits(values, target, reduction="sum")
        return per(total, torch.tensor(values.numel(), device=values.device))

    def _boxes(
        self,
        deltas: Tensor,
        anchors: Tensor,
        matches: Sequence[Tensor],
        boxes: Sequence[Tensor],
    ) -> Tensor:
        said, places, true = [], [], []
        for delta, matched, own in zip(deltas, matches, boxes, strict=True):
            positive = torch.nonzero(matched >= 0)[:, 0]
            said.append(delta[positive])
            places.append(anchors[positive])
            true.append(own.to(anchors)[matched[positive]])
        distance = self.box_distance(torch.cat(said), torch.cat(places), torch.cat(true))
        return per(distance.sum(), torch.tensor(len(distance), device=deltas.device))

    def _segmentation(
        self, logits: Tensor | None, target: Tensor | None, valid: Tensor | None
    ) -> Tensor | None:
        if logits is None:
            return None
        if target is None:
            # In the graph all the same: parallel training waits for every gradient.
            return logits.float().sum() * 0
        arguments = (logits, target) if valid is None else (logits, target, valid)
        return self.segmentation_weight * self.segmentation(*arguments)
