"""What a network with anchors says at every level: of which class, and where exactly."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from medseg.detection.output import DetectionOutput
from medseg.errors import InputError
from medseg.networks.detection.head import SharedHead

DELTA_SCALE = 0.1


class AnchorHeads(nn.Module):
    """Two heads, one for classes and one for boxes, that all levels share.

    ``[(B, channels, *S_l), …]`` -> `DetectionOutput`. Sharing means that an object at one level
    looks like an object twice as large at the next; so anchors should grow with the strides.

    Args:
        spatial_dims: 2 or 3.
        channels: of the levels.
        num_classes: classes of objects, without a background.
        num_anchors: anchors at each place.
        convs: convolutions in each head before the last.
        kernel: one odd number per axis.
        prior: probability of a class that the network starts with.
        delta_scale: factor of the box head's output. With `DELTA_SCALE` boxes start as their
            anchors and leave them slowly: GIoU hardly says how to shrink a box that a first bold
            step has made far too large. Detectron's weights of 10 and 5 in its coder do the same.

    Raises:
        InputError: a number out of its range.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        channels: int,
        num_classes: int,
        num_anchors: int,
        convs: int,
        kernel: Sequence[int],
        prior: float,
        delta_scale: float = DELTA_SCALE,
    ) -> None:
        super().__init__()
        if min(num_classes, num_anchors) < 1 or convs < 0 or not 0 < prior < 1:
            raise InputError(
                "the heads of a detector cannot be built",
                expected="a class and an anchor at least, and a prior between 0 and 1",
                found=f"num_classes {num_classes}, num_anchors {num_anchors}, head_convs {convs}, "
                f"prior {prior}",
            )
        self.classes = SharedHead(
            channels, num_anchors * num_classes, count=convs, kernel=kernel, prior=prior
        )
        self.delta_scale = delta_scale
        self.boxes = SharedHead(
            channels, num_anchors * 2 * spatial_dims, count=convs, kernel=kernel
        )

    def forward(self, levels: Sequence[Tensor]) -> DetectionOutput:
        """Return logits and deltas per level."""
        return DetectionOutput(
            [self.classes(level) for level in levels],
            [self.boxes(level) * self.delta_scale for level in levels],
        )
