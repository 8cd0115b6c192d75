"""Objects with outlines, of a network that finds boxes and segments: an instance map."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from medseg.atomic import write_text
from medseg.errors import InputError
from medseg.inference.detection.instances import instances_of
from medseg.inference.detection.keeping import KeepRule
from medseg.inference.detection.result import Detections
from medseg.labels import LabelScheme

WithoutMask = Literal["drop", "ellipsoid"]

COUNTS = 0.5
"""From which score a box is an object of its own where nothing says so.

Two boxes part the mask that they share, so a doubtful one may not have a share in a sure one's.
"""


@dataclass(frozen=True, eq=False)
class Outlined:
    """Objects in an image, voxel by voxel.

    Attributes:
        map: int32 ``(*S)`` on the image's grid: 0 background, ``i + 1`` object ``i``.
        objects: the boxes around the outlines, with the classes and scores of those that were
            found.
        sources: int64 ``(N,)``, which of the boxes that were found each is of, counted from 0.
    """

    map: np.ndarray
    objects: Detections
    sources: np.ndarray

    def to_dict(self, *, pixels: bool = False) -> dict[str, Any]:
        """Return plain containers for JSON: `Detections.to_dict` with ``instances`` for objects.

        Of each, ``value`` is its number in the map, and ``box`` that of the box that found it,
        counted from 1 as in `medseg.inference.detection.label_map`. Where it lies is the box around
        its outline.
        """
        state = self.objects.to_dict(pixels=pixels)
        numbers = enumerate(self.sources + 1, start=1)
        state["instances"] = [
            {"value": value, "box": int(box), **one}
            for (value, box), one in zip(numbers, state.pop("objects"), strict=True)
        ]
        return state

    def save(self, path: Path | str, *, pixels: bool = False) -> None:
        """Write `to_dict` as JSON."""
        write_text(Path(path), json.dumps(self.to_dict(pixels=pixels), indent=1) + "\n")


def outlined(
    found: Detections,
    mask: np.ndarray,
    labels: LabelScheme,
    *,
    keep: KeepRule | None = None,
    without_mask: WithoutMask = "drop",
) -> Outlined:
    """Give each box that counts as found its part of a mask.

    Args:
        found: the boxes.
        mask: label indices ``(*S)`` on their grid.
        labels: what the indices mean.
        keep: says for classes from which score a box counts; others count from `COUNTS` on.
        without_mask: what becomes of a box that has no voxel of the mask, see
            `medseg.inference.detection.instances.instances_of`.

    Raises:
        InputError: the regions of the labels overlap.
    """
    least = {**dict.fromkeys(found.classes, COUNTS), **(keep.score if keep else {})}
    counts = found.scores >= [least[name] for name in found.names]
    made = instances_of(
        mask,
        found.boxes[counts],
        members=labels.region_indices(),
        without_mask=without_mask,
    )
    objects = Detections(made.objects, found.grid, found.classes)
    return Outlined(made.map, objects, np.flatnonzero(counts)[made.sources])


class Segmentation(nn.Module):
    """The part of a detector's output that segments, as logits ``(B, K, *S)``."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of full resolution."""
        return self.network(image).segmentation


def require_outlines(networks: Sequence[nn.Module], labels: LabelScheme) -> None:
    """Refuse networks whose objects cannot have an instance map.

    Raises:
        InputError: they find boxes only, or their regions overlap.
    """
    if any(getattr(network, "segmenter", None) is None for network in networks):
        raise InputError(
            "the network finds boxes only, so there are no outlines",
            expected="a network that segments as well: retina_unet",
            found=type(networks[0]).__name__,
            remedy="leave instances out, or train with network=retina_unet",
        )
    every = [index for indices in labels.region_indices() for index in indices]
    if len(set(every)) < len(every):
        raise InputError(
            "regions that overlap cannot be in one instance map",
            expected="objects that share no voxel",
            found=f"regions {', '.join(labels.foreground)}",
            remedy="leave instances out",
        )
