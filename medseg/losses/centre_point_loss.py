"""What a network without anchors learns from: centres, and the sizes around them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from medseg.detection.centre_targets import CentreTargets, centre_targets
from medseg.detection.output import DetectionOutput, at_least_single
from medseg.losses.detection_terms import DetectionTerms, per, together


def penalty_reduced_focal(
    logits: Tensor,
    heatmap: Tensor,
    counted: Tensor | None = None,
    *,
    alpha: float = 2.0,
    beta: float = 4.0,
) -> Tensor:
    """Return the focal loss of a map of centres, place by place.

    ``-(1 - p)^α log p`` where the map is 1, ``-(1 - y)^β p^α log(1 - p)`` elsewhere: next to a
    centre it is no great mistake to see one (Law & Deng, CornerNet, ECCV 2018; Zhou et al., arXiv
    1904.07850).

    Args:
        logits: any shape.
        heatmap: ``y`` in ``[0, 1]``, of that shape.
        counted: places that count, unless they are a centre; of a shape that broadcasts.
        alpha: how far certain places are passed by.
        beta: how far places next to a centre are.
    """
    probability = logits.sigmoid()
    centre = -((1 - probability) ** alpha) * logsigmoid(logits)
    other = -((1 - heatmap) ** beta) * probability**alpha * logsigmoid(-logits)
    if counted is not None:
        other = other * counted
    return torch.where(heatmap == 1, centre, other)


class CentrePointLoss(nn.Module):
    """The map of centres, and at true centres the offset and the size of the box.

    Called with a network's output, and per image boxes ``(N, 2n)`` in voxel edges of the patch and
    their classes ``(N,)``, either may be of no boxes; gives `DetectionTerms`. The focal loss is
    summed over places and classes, L1 of offsets and of sizes (in places) over axes; each is
    divided by the number of objects in the step, by 1 where there is none. Boxes of class -1 are
    ignored: inside of them only the centres of other boxes count.

    Args:
        stride: voxels from place to place, per axis: the network's ``strides[0]``.
        size_weight: factor of the sizes, the paper's.
        offset_weight: factor of the offsets.
        overlap: see `medseg.detection.centre_targets.spreads`.
    """

    def __init__(
        self,
        stride: Sequence[int],
        *,
        size_weight: float = 0.1,
        offset_weight: float = 1.0,
        overlap: float = 0.7,
    ) -> None:
        super().__init__()
        self.stride = tuple(stride)
        self.size_weight = size_weight
        self.offset_weight = offset_weight
        self.overlap = overlap

    def forward(
        self, output: DetectionOutput, boxes: Sequence[Tensor], classes: Sequence[Tensor]
    ) -> DetectionTerms:
        """Return the loss and its terms.

        Args:
            output: of a batch of ``B`` patches.
            boxes: per patch ``(N, 2n)``.
            classes: per patch ``(N,)``.
        """
        logits = at_least_single(output.class_logits[0])
        values = at_least_single(output.box_deltas[0])
        targets = [
            centre_targets(
                own.to(logits),
                kinds,
                shape=logits.shape[2:],
                stride=self.stride,
                num_classes=logits.shape[1],
                overlap=self.overlap,
            )
            for own, kinds in zip(boxes, classes, strict=True)
        ]
        heatmap = torch.stack([target.heatmap for target in targets])
        counted = torch.stack([target.counted for target in targets])[:, None]
        objects = torch.tensor(sum(len(target.places) for target in targets), device=logits.device)
        focal = penalty_reduced_focal(logits, heatmap, counted).sum()
        return together(per(focal, objects), per(self._boxes(values, targets), objects))

    def _boxes(self, values: Tensor, targets: Sequence[CentreTargets]) -> Tensor:
        said = torch.cat(
            [value.flatten(1)[:, t.places].T for value, t in zip(values, targets, strict=True)]
        )
        offset, size = (said - torch.cat([t.values for t in targets])).abs().chunk(2, dim=1)
        return self.offset_weight * offset.sum() + self.size_weight * size.sum()
