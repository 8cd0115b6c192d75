"""A first stage whose masks lie on the disk: they are read instead of predicted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from medseg.data.case import Volume
from medseg.data.prepare.reading import read_label
from medseg.errors import InputError
from medseg.inference.images import Frame
from medseg.inference.postprocess.steps import Postprocessor
from medseg.inference.segmenter import Segmenter
from medseg.labels import LabelScheme


class StoredMasks(Segmenter):
    """Give the mask that a first stage predicted of an image while it was held out.

    As a `Predictor`'s ``first_stage`` it lets a cascade segment cases that it was cross-validated
    on, of which most networks of the first stage have seen each.

    Args:
        masks: image file (of several channels the first) -> mask.
        labels: what the masks' values mean.
        frame: of the stage that goes on from them.
    """

    def __init__(self, masks: Mapping[Path, Path], *, labels: LabelScheme, frame: Frame) -> None:
        self.masks, self.labels, self._frame = masks, labels, frame
        self.postprocess = Postprocessor((), labels)

    @property
    def frame(self) -> Frame:
        """What is assumed about an array that does not say where it lies."""
        return self._frame

    def segment(
        self, volume: Volume, *, probabilities: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Read the mask of an image; it has no probabilities.

        Raises:
            InputError: there is none, or none that can be read.
        """
        if probabilities:
            raise ValueError("masks hold no probabilities")
        files = getattr(volume.header, "files", ())
        mask = self.masks.get(files[0]) if files else None
        if mask is None:
            raise InputError(
                "the first stage has left no mask of this image", file=files[0] if files else None
            )
        return read_label(mask, self.labels, like=volume.grid).data, None
