"""MONAI's RetinaNet and its detector, on a feature pyramid and anchors of ours.

    network = RetinaNet(spatial_dims=3, …, head_convs=4)
    detector = monai_detector.beside(network, anchors)
    monai_detector.learn_as_published(detector)

Both parts of MONAI that ask for torchvision are replaced: the pyramid by ours, and in training the
question which matcher was chosen, which without torchvision ends in an error. All else is MONAI's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector
from monai.apps.detection.networks.retinanet_network import RetinaNet as MonaiRetinaNet
from monai.losses import BoxGIoULoss
from torch import Tensor, nn

from medseg.data.feed.batch import Batch
from medseg.detection.anchors import AnchorGenerator
from medseg.detection.decoding import Found
from medseg.networks.detection import RetinaNet
from medseg.networks.detection.anchor_heads import DELTA_SCALE
from medseg.networks.detection.fpn import FPN


class Levels(nn.Module):
    """A pyramid of ours under the names that MONAI asks for.

    Args:
        pyramid: one that ends at its finest level, as a `RetinaNet` has it.
        channels: of each level.
    """

    def __init__(self, pyramid: FPN, channels: int) -> None:
        super().__init__()
        self.pyramid, self.out_channels = pyramid, channels

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the levels of ``(B, C, *S)``, finest first."""
        return self.pyramid(image)


class Network(MonaiRetinaNet):
    """MONAI's network, that computes in a given precision and answers in float32.

    MONAI makes its anchors in the precision of the answer, and in bfloat16 a corner at 200 is off
    by half a voxel.
    """

    precision: Callable[[], AbstractContextManager] = nullcontext

    def forward(self, images: Tensor) -> dict[str, list[Tensor]]:
        """Return logits and deltas per level."""
        with self.precision():
            said = super().forward(images)
        return {key: [level.float() for level in levels] for key, levels in said.items()}


class Anchors(nn.Module):
    """Anchors of ours, as MONAI's detector asks for them; MONAI's own are whole voxels wide."""

    def __init__(self, anchors: AnchorGenerator) -> None:
        super().__init__()
        self.anchors = anchors

    def num_anchors_per_location(self) -> list[int]:
        """Return the anchors at each place, per level."""
        return [self.anchors.per_place] * len(self.anchors.strides)

    def forward(self, images: Tensor, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return the anchors ``(M, 2n)`` of each image."""
        found = self.anchors([level.shape[2:] for level in levels], device=images.device)
        return [found] * len(images)


class Detector(RetinaNetDetector):
    """MONAI's detector, whose ATSS does not ask for torchvision's matcher first."""

    def compute_anchor_matched_idxs(
        self,
        anchors: list[Tensor],
        targets: list[dict[str, Tensor]],
        num_anchor_locs_per_level: Sequence[int],
    ) -> list[Tensor]:
        """Return for each image the number of each anchor's box ``(M,)``, -1 for none."""
        found = []
        for places, target in zip(anchors, targets, strict=True):
            boxes = target[self.target_box_key].to(places.device)
            _, matched = self.proposal_matcher(
                boxes, places, num_anchor_locs_per_level, self.num_anchors_per_loc
            )
            found.append(matched.to(places.device))
        return found


def beside(
    network: RetinaNet,
    anchors: AnchorGenerator,
    *,
    precision: Callable[[], AbstractContextManager] = nullcontext,
) -> Detector:
    """Make MONAI's network and detector on a copy of our network's pyramid.

    MONAI's heads have four convolutions; where ours do (``head_convs=4``), they begin with the same
    weights.
    """
    levels = Levels(copy.deepcopy(network.pyramid), network.channels)
    theirs = Network(
        network.spatial_dims,
        network.num_classes,
        network.num_anchors,
        levels,
        size_divisible=network.divisor,
    )
    theirs.precision = precision
    classes, boxes = theirs.classification_head, theirs.regression_head
    _begin_alike(network.heads.classes, [classes.conv, classes.cls_logits])
    _begin_alike(network.heads.boxes, [boxes.conv, boxes.bbox_reg])
    detector = Detector(theirs, Anchors(anchors))
    detector.set_atss_matcher(num_candidates=4, center_in_gt=False)
    return detector


def learn_as_published(detector: Detector) -> None:
    """Draw anchors as MONAI does for LUNA16; losses are its defaults, BCE and smooth L1."""
    detector.set_hard_negative_sampler(
        batch_size_per_image=64, positive_fraction=0.3, pool_size=20, min_neg=16
    )


def learn_as_ours(detector: Detector) -> None:
    """Draw as many anchors as `DetectionLoss` does, and regress boxes by GIoU, slowly as it does.

    What is left apart: boxes of class -1, which are background to MONAI.
    """
    detector.set_hard_negative_sampler(
        batch_size_per_image=32, positive_fraction=1 / 3, pool_size=20, min_neg=1
    )
    detector.set_box_coder_weights((1 / DELTA_SCALE,) * (2 * detector.spatial_dims))
    detector.set_box_regression_loss(
        BoxGIoULoss(reduction="mean"), encode_gt=False, decode_pred=True
    )


def loss_of(detector: Detector, batch: Batch) -> Tensor:
    """Return the loss of one batch; what is to be ignored is left out of the targets."""
    assert batch.boxes is not None
    targets = []
    for boxes in batch.boxes:
        there, device = boxes[boxes.classes >= 0], batch.image.device
        targets.append(
            {
                detector.target_box_key: torch.from_numpy(there.corners).float().to(device),
                detector.target_label_key: torch.from_numpy(there.classes).to(device),
            }
        )
    return sum(detector(batch.image, targets).values())


@torch.no_grad()
def find(
    detector: Detector, image: Tensor, window: Sequence[int], *, overlap: float, at_once: int
) -> Found:
    """Return the boxes in a whole image ``(C, *S)``, through windows where one is not enough."""
    detector.eval()
    several = any(n > most for n, most in zip(image.shape[1:], window, strict=True))
    if several:
        detector.set_sliding_window_inferer(tuple(window), sw_batch_size=at_once, overlap=overlap)
    (said,) = detector(image[None], use_inferer=several)
    names = detector.target_box_key, detector.pred_score_key, detector.target_label_key
    return Found(*(said[name].cpu() for name in names))


def _begin_alike(ours: nn.Module, theirs: Sequence[nn.Module]) -> None:
    mine = list(ours.parameters())
    others = [parameter for part in theirs for parameter in part.parameters()]
    if [one.shape for one in mine] == [one.shape for one in others]:
        with torch.no_grad():
            for own, other in zip(mine, others, strict=True):
                other.copy_(own)
