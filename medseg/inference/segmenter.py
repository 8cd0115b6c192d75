"""What segments one image, whatever kind of image that is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medseg.data.case import Case, LabelVolume, Volume
from medseg.data.prepare.guides import read_guide
from medseg.data.prepare.reading import read_image
from medseg.data.prepare.writing import mask_suffix, write_label
from medseg.errors import InputError
from medseg.inference.images import Frame, receive
from medseg.inference.postprocess.steps import Postprocessor
from medseg.inference.prediction import Prediction, check_target
from medseg.labels import LabelScheme


class Segmenter(ABC):
    """From files and arrays to a `Volume`, and from its mask back; `segment` does the work.

    Attributes:
        labels: what the outputs mean.
        postprocess: the steps that masks go through once they are decoded.
    """

    labels: LabelScheme
    postprocess: Postprocessor

    @property
    @abstractmethod
    def frame(self) -> Frame:
        """What is assumed about an array that does not say where it lies."""

    @abstractmethod
    def segment(
        self, volume: Volume, *, probabilities: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return label indices ``(*S)`` on the volume's own grid, before postprocessing.

        With ``probabilities`` also these, float32 ``(K, *S)``.
        """

    def clean(
        self, volume: Volume, *, probabilities: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Do as `segment`, and postprocess the mask; probabilities stay as they are."""
        index, likely = self.segment(volume, probabilities=probabilities)
        return self.postprocess(index, volume.grid.spacing), likely

    def __call__(
        self,
        image: Any,
        *,
        spacing: Sequence[float] | float | None = None,
        affine: np.ndarray | None = None,
        probabilities: bool = False,
    ) -> Any:
        """Segment one image; the result is of the image's kind.

        Args:
            image: a NumPy array or torch tensor ``(C, *S)``, or ``(*S)`` for one channel; a MONAI
                MetaTensor ``(C, *S)``; a SimpleITK image (channels as vector components or as the
                fourth axis); a path, or a list of paths with one per channel.
            spacing: mm per axis of an array. Without it and ``affine``, an array counts as lying on
                the plan's spacing already, its axes in the plan's orientation (RAS).
            affine: voxel to mm (RAS) of an array, instead of ``spacing``.
            probabilities: return these, float32 ``(K, *S)`` on the image's grid, instead of labels;
                a `Prediction` then holds both.

        Returns:
            Label values as files hold them, with the spatial shape and geometry of ``image``: an
            array or tensor ``(*S)``, a MetaTensor ``(1, *S)``, a SimpleITK image; for paths a
            `Prediction`.

        Raises:
            InputError: the image is not one, or not one for this network; see `receive`.
        """
        if paths := _paths(image):
            return self._predict_files(paths, probabilities)
        volume, give_back = receive(image, self.frame, spacing=spacing, affine=affine)
        if probabilities:
            return give_back(self.predict_probabilities(volume))
        return give_back(self.labels.to_value(self.predict_volume(volume).data))

    def predict_volume(self, volume: Volume) -> LabelVolume:
        """Return label indices on the volume's own grid."""
        return LabelVolume(self.clean(volume)[0], volume.grid)

    def predict_probabilities(self, volume: Volume) -> np.ndarray:
        """Return probabilities float32 ``(K, *S)`` on the volume's own grid."""
        likely = self.segment(volume, probabilities=True)[1]
        assert likely is not None
        return likely

    def predict_case(self, case: Case) -> LabelVolume:
        """Read a case and return label indices on its own grid.

        A case with a ``guide`` brings what a first stage has found in it: none is run for it.

        Raises:
            InputError: a file is missing, damaged or not what the network takes.
        """
        return self.predict_volume(self._read(case))

    def predict_to(self, case: Case, out_dir: str | Path, *, overwrite: bool = False) -> Path:
        """Write ``out_dir/<case id><suffix of the source>`` and return its path.

        Raises:
            InputError: see `predict_case`; the file exists and ``overwrite`` is not set.
        """
        out_dir = Path(out_dir)
        path = out_dir / f"{case.id}{mask_suffix(case.images[0])}"
        if not path.resolve().is_relative_to(out_dir.resolve()):
            raise InputError("the case's id leaves the output folder", found=case.id)
        check_target(path, case.images, overwrite=overwrite)
        index = self.predict_case(case).data
        return write_label(path, self.labels.to_value(index), case.images[0], overwrite=overwrite)

    def _read(self, case: Case) -> Volume:
        frame = self.frame
        volume = read_image(case, channels=frame.channels)
        if volume.grid.ndim != len(frame.spacing):
            raise InputError(
                f"the network takes {len(frame.spacing)}D images",
                file=case.images[0],
                found=f"shape {volume.grid.shape}",
            )
        if case.guide is None:
            return volume
        return volume._replace(guide=read_guide(case, self.labels, like=volume.grid))

    def _predict_files(self, paths: tuple[Path, ...], probabilities: bool) -> Prediction:
        volume = self._read(Case(id=paths[0].name, images=paths))
        index, likely = self.clean(volume, probabilities=probabilities)
        return Prediction(self.labels.to_value(index), volume.grid, paths, likely)


def _paths(image: Any) -> tuple[Path, ...]:
    if isinstance(image, str | Path):
        return (Path(image),)
    if isinstance(image, list | tuple) and all(isinstance(item, str | Path) for item in image):
        return tuple(Path(item) for item in image)
    return ()
