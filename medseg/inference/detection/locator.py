"""What finds the objects in one image, whatever kind of image that is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medseg.data.case import Case, Volume
from medseg.data.formats.files import is_video
from medseg.data.prepare.reading import read_image
from medseg.errors import InputError
from medseg.inference.detection.keeping import KeepRule
from medseg.inference.detection.result import Detections
from medseg.inference.images import Frame, receive
from medseg.labels import LabelScheme


class Locator(ABC):
    """From files and arrays to a `Volume`, and to what is kept of its boxes; `locate` finds them.

    Attributes:
        labels: the classes are its ``foreground``.
        keep: which of the boxes are kept.
    """

    labels: LabelScheme
    keep: KeepRule

    @property
    @abstractmethod
    def frame(self) -> Frame:
        """What is assumed about an array that does not say where it lies."""

    @abstractmethod
    def locate(self, volume: Volume) -> Detections:
        """Return all boxes, best first, in voxel edges of the volume's own grid."""

    def find(self, volume: Volume) -> Detections:
        """Return the boxes that are kept, best first, in voxel edges of the volume's own grid."""
        found = self.locate(volume)
        boxes = self.keep.clean(found.boxes, found.classes, found.grid.spacing)
        return replace(found, boxes=self.keep.sure(boxes, found.classes))

    def __call__(
        self,
        image: Any,
        *,
        spacing: Sequence[float] | float | None = None,
        affine: np.ndarray | None = None,
    ) -> Detections:
        """Find the objects in one image, in voxels of that image.

        Args:
            image: anything that `medseg.inference.Predictor` takes; of a path also the folder of a
                DICOM series.
            spacing: mm per axis of an array.
            affine: of an array, from voxel indices to RAS mm.

        Raises:
            InputError: the image is not one, or not one for these networks.
        """
        return self.find(self.volume_of(image, spacing=spacing, affine=affine))

    def find_case(self, case: Case) -> Detections:
        """Read a case and find the objects in it; raises as `read` does."""
        return self.find(self.read(case))

    def volume_of(
        self,
        image: Any,
        *,
        spacing: Sequence[float] | float | None = None,
        affine: np.ndarray | None = None,
    ) -> Volume:
        """Read files, or take an image that is in memory; arguments and errors as of a call."""
        paths = [image] if isinstance(image, str | Path) else image
        if isinstance(paths, list | tuple) and paths and all(map(_is_path, paths)):
            return self.read(Case(Path(paths[0]).name, tuple(Path(path) for path in paths)))
        return receive(image, self.frame, spacing=spacing, affine=affine)[0]

    def read(self, case: Case) -> Volume:
        """Read a case's image.

        Raises:
            InputError: a file is missing, damaged or not what the networks take.
        """
        frame, first = self.frame, case.images[0]
        if is_video(first):
            raise InputError(
                "objects are not looked for in videos",
                file=first,
                expected="an image",
                remedy="write the frames that matter as pictures, for instance with ffmpeg",
            )
        volume = read_image(case, channels=frame.channels)
        if volume.grid.ndim != len(frame.spacing):
            raise InputError(
                f"the network takes {len(frame.spacing)}D images",
                file=first,
                found=f"shape {volume.grid.shape}",
            )
        return volume


def _is_path(item: Any) -> bool:
    return isinstance(item, str | Path)
