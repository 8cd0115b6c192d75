"""From what a detector says of windows to the boxes in them, with anchors and without."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from medseg.detection.anchors import AnchorGenerator
from medseg.detection.centre_peaks import boxes_at_peaks
from medseg.detection.decoding import Found, boxes_of
from medseg.detection.output import DetectionOutput
from medseg.networks.detection import CentreNet

Finder = Callable[[nn.Module, Tensor], list[Found]]
"""From a network and windows ``(B, C, *S)`` to the boxes in each."""


def finder_of(
    network: nn.Module,
    anchors: Sequence[Sequence[Sequence[float]]],
    detection: Mapping[str, Any],
) -> Finder:
    """Make the finder that goes with a network.

    Args:
        network: one of `medseg.networks.detection`, or one with their attribute ``strides``.
        anchors: voxels, per level, anchor and axis, of a network that has them.
        detection: ``score`` and ``overlap`` as of a recipe, the latter filled in by its plan.
    """
    options: dict[str, Any] = {
        "score": float(detection["score"]),
        "nms": float(detection["overlap"]),
    }
    strides: Any = network.strides
    if isinstance(network, CentreNet):
        return PeakFinder(strides[0], **options)
    return AnchorFinder(AnchorGenerator(anchors, strides), **options)


@dataclass(frozen=True)
class AnchorFinder:
    """Find boxes with a network that corrects anchors.

    Attributes:
        anchors: those that the network was trained with.
        score, top, nms, limit: see `medseg.detection.decoding.boxes_of`.
    """

    anchors: AnchorGenerator
    score: float = 0.02
    top: int = 1000
    nms: float = 0.22
    limit: int = 300

    def __call__(self, network: nn.Module, windows: Tensor) -> list[Found]:
        """Return the boxes in each window, best first; they may reach out of it."""
        output: DetectionOutput = network(windows)
        anchors = self.anchors(output.shapes, device=windows.device)
        return [
            boxes_of(
                output,
                anchors,
                image=number,
                score=self.score,
                top=self.top,
                nms=self.nms,
                limit=self.limit,
            )
            for number in range(len(windows))
        ]


@dataclass(frozen=True)
class PeakFinder:
    """Find boxes around the peaks of a map of centres.

    Attributes:
        stride: voxels from place to place of the map, per axis.
        score, top, nms, limit: see `medseg.detection.centre_peaks.boxes_at_peaks`.
    """

    stride: Sequence[int]
    score: float = 0.02
    top: int = 1000
    nms: float = 0.22
    limit: int = 300

    def __call__(self, network: nn.Module, windows: Tensor) -> list[Found]:
        """Return the boxes in each window, best first; they may reach out of it."""
        output: DetectionOutput = network(windows)
        return [
            boxes_at_peaks(
                output,
                self.stride,
                image=number,
                score=self.score,
                top=self.top,
                nms=self.nms,
                limit=self.limit,
            )
            for number in range(len(windows))
        ]
