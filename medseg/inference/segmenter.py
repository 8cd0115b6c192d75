"""What segments one image, whatever kind of image that is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medseg.data.case import Case, LabelVolume, Volume
from medseg.data.formats.files import is_video
from medseg.data.prepare.areas import Row, measured, write_areas
from medseg.data.prepare.frames import each_frame
from medseg.data.prepare.guides import read_guide
from medseg.data.prepare.pictures import has_pages
from medseg.data.prepare.raw import STACKS, suffix
from medseg.data.prepare.reading import read_image
from medseg.data.prepare.stack import write_stack
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

    def clean_each(self, volumes: Iterable[Volume]) -> Iterator[np.ndarray]:
        """Yield the masks of `clean`, one image after the other; few are in memory at a time."""
        return (self.clean(volume)[0] for volume in volumes)

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

    def predict_frames(self, path: str | Path) -> Iterator[np.ndarray]:
        """Yield the mask of one frame of a video after the other, or of one page of a TIFF.

        Each frame is segmented as a picture of its own, and however long the video is, only a batch
        of them is in memory.

        Args:
            path: a file with all channels. Of a video these are its grey values, or its red, green
                and blue where the network takes three.

        Returns:
            File values ``(I, J)``: I the row, J the column.

        Raises:
            InputError: the network takes volumes; and, while frames are read, as `each_frame`.
        """
        frame, path = self.frame, Path(path)
        if len(frame.spacing) != 2:
            raise InputError(
                f"the network takes {len(frame.spacing)}D images, and a frame is a picture",
                file=path,
                expected="a volume, such as NIfTI",
                found=f"frames of a {path.suffix} file",
                remedy="segment frames by a network that was trained on pictures",
            )
        volumes = each_frame(path, channels=frame.channels)
        return (self.labels.to_value(index) for index in self.clean_each(volumes))

    def predict_to(self, case: Case, out_dir: str | Path, *, overwrite: bool = False) -> Path:
        """Write ``out_dir/<case id><suffix of the source>`` and return its path.

        A video is segmented frame by frame into the pages of a TIFF, and so are the pages of a TIFF
        if the network takes pictures; see `predict_frames`. Beside the mask of a video,
        ``<case id>.csv`` says how many pixels each label has in each frame.

        Raises:
            InputError: see `predict_case`; the file exists and ``overwrite`` is not set.
        """
        out_dir = Path(out_dir)
        path = out_dir / f"{case.id}{mask_suffix(case.images[0])}"
        if not path.resolve().is_relative_to(out_dir.resolve()):
            raise InputError("the case's id leaves the output folder", found=case.id)
        check_target(path, case.images, overwrite=overwrite)
        if self._holds_frames(case):
            return self._write_frames(path, case.images[0], overwrite=overwrite)
        index = self.predict_case(case).data
        return write_label(path, self.labels.to_value(index), case.images[0], overwrite=overwrite)

    def _holds_frames(self, case: Case) -> bool:
        first, *others = case.images
        takes_pictures = len(self.frame.spacing) == 2
        return not others and (is_video(first) or (takes_pictures and has_pages(first)))

    def _write_frames(self, path: Path, source: Path, *, overwrite: bool) -> Path:
        masks = self.predict_frames(source)
        if not is_video(source):
            return write_stack(path, masks, overwrite=overwrite)
        table = path.with_suffix(".csv")
        check_target(table, (source,), overwrite=overwrite)
        values = {name: value for name, value in self.labels.values.items() if value != 0}
        rows: list[Row] = []
        write_stack(path, measured(masks, values, rows), overwrite=overwrite)
        write_areas(table, values, rows)
        return path

    def _read(self, case: Case) -> Volume:
        frame = self.frame
        volume = read_image(case, channels=frame.channels)
        if volume.grid.ndim != len(frame.spacing):
            is_stack = volume.grid.ndim == 3 and suffix(case.images[0]) in STACKS
            raise InputError(
                f"the network takes {len(frame.spacing)}D images",
                file=case.images[0],
                found=f"shape {volume.grid.shape}",
                remedy="predict_frames takes a stack of pictures" if is_stack else None,
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
