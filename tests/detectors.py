"""A detector that needs no training, and checkpoints of it, for tests of what predicts boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medseg.detection.output import DetectionOutput
from medseg.labels import LabelScheme
from medseg.planning.plan import Normalisation, Plan, PreprocessingPlan
from tests.checkpoints import write

EDGE = 8
LABELS = LabelScheme({"background": 0, "nodule": 1, "mass": 2})
DETECTION = {"score": 0.02, "overlap": 0.2, "min_visible": 0.5}


class Blocks(nn.Module):
    """Finds blocks of `EDGE` voxels that lie where its places do, by how bright they are.

    A nodule is 1 bright and a mass 2. The score is ``sigmoid(10 - 40 |mean - bright|)``: nearly 1,
    or 0.5 where a block is 0.25 too bright. It segments voxels in the same way.
    """

    def __init__(
        self, *, spatial_dims: int, in_channels: int = 1, classes: int = 2, segments: bool = True
    ) -> None:
        super().__init__()
        self.spatial_dims, self.classes = spatial_dims, classes
        self.strides = ((EDGE,) * spatial_dims,)
        self.weight = nn.Parameter(torch.ones(()))
        self.segmenter = nn.Identity() if segments else None

    def forward(self, image: Tensor) -> DetectionOutput:
        first = image[:, :1] * self.weight
        pool = F.avg_pool3d if self.spatial_dims == 3 else F.avg_pool2d
        mean = pool(first, EDGE)
        deltas = torch.zeros_like(mean).repeat_interleave(2 * self.spatial_dims, dim=1)
        said = None if self.segmenter is None else self._bright(first, range(self.classes + 1))
        return DetectionOutput([self._bright(mean, range(1, self.classes + 1))], [deltas], said)

    def _bright(self, values: Tensor, levels: Sequence[int]) -> Tensor:
        return torch.cat([10 - 40 * (values - level).abs() for level in levels], dim=1)


def scene(shape: Sequence[int], *blocks: tuple[Sequence[int], float]) -> np.ndarray:
    """Make an image of dark voxels and blocks: the first voxel of each, and how bright it is."""
    image = np.zeros(shape, dtype=np.float32)
    for first, bright in blocks:
        image[tuple(slice(a, a + EDGE) for a in first)] = bright
    return image


def save_scan(path: Path, image: np.ndarray, *, affine: np.ndarray | None = None) -> Path:
    """Write a volume as NIfTI, at 1 mm if nothing else is said."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(image, np.eye(4) if affine is None else affine), path)
    return path


def make_plan(spatial_dims: int = 3, *, channels: int = 1) -> Plan:
    """Make a plan of patches of two blocks, whose spacing is 1 mm."""
    n = spatial_dims
    return Plan(
        preprocessing=PreprocessingPlan(
            orientation="RAS" if n == 3 else None,
            crop="none",
            spacing=(1.0,) * n,
            normalisation=(Normalisation("none"),) * channels,
        ),
        patch_size=(2 * EDGE,) * n,
        batch_size=2,
        strides=((1,) * n, (EDGE,) * n),
        kernels=((3,) * n, (3,) * n),
        features=(4, 8),
        levels=(1,),
        anchors=(((float(EDGE),) * n,),),
    )


def save_detector(
    path: Path,
    spatial_dims: int = 3,
    *,
    channels: int = 1,
    labels: LabelScheme = LABELS,
    segments: bool = True,
    weight: float = 1.0,
    **changes: Any,
) -> Path:
    """Write a checkpoint of `Blocks`; ``changes`` replace parts of its record."""
    arguments = {
        "spatial_dims": spatial_dims,
        "in_channels": channels,
        "classes": len(labels.foreground),
        "segments": segments,
    }
    content = {
        "state_dict": {"network.weight": torch.tensor(weight)},
        "medseg": {
            "schema": 1,
            "task": "detection",
            "network": {"name": "tests.detectors:Blocks", "arguments": arguments},
            "labels": labels.to_dict(),
            "plan": make_plan(spatial_dims, channels=channels).to_dict(),
            "channels": [f"channel{i}" for i in range(channels)],
            "inference": {"overlap": 0.5, "mirror": False},
            "format": {"name": "decathlon", "options": {}},
            "detection": DETECTION,
            "recipe": "task: detection\n",
            "version": "0.1.0",
            **changes,
        },
    }
    return write(path, content)


def save_run(folder: Path, *weights: float, **options: Any) -> Path:
    """Write a run folder with a fold for each weight."""
    for fold, weight in enumerate(weights or (1.0,)):
        path = folder / f"fold_{fold}" / "checkpoints" / "best.ckpt"
        save_detector(path, weight=weight, **options)
    return folder


def corners_of(boxes: Any) -> list[tuple[int, ...]]:
    """List corners in whole voxels, in order."""
    return sorted(tuple(round(x) for x in box) for box in boxes.corners)


def save_series(folder: Path, image: np.ndarray, *, without: Sequence[str] = ()) -> Path:
    """Write a volume of whole numbers as a folder of axial slices of 1 mm, as a scanner's.

    Args:
        folder: made, with any above it.
        image: ``(I, J, K)``: along the rows, down the columns, slice by slice.
        without: names of elements that the headers lack.
    """
    import pydicom

    folder.mkdir(parents=True)
    for k in range(image.shape[2]):
        one = pydicom.Dataset()
        one.SOPClassUID, one.SOPInstanceUID = pydicom.uid.CTImageStorage, f"1.2.3.{k + 1}"
        one.StudyInstanceUID, one.SeriesInstanceUID = "1.2.4", "1.2.5"
        one.FrameOfReferenceUID = "1.2.3.77"
        one.Modality, one.PatientID, one.PatientName = "CT", "P7", "Doe^Jane"
        one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, k], [1, 0, 0, 0, 1, 0]
        one.PixelSpacing, one.SliceThickness = [1, 1], 1
        one.Columns, one.Rows = image.shape[:2]
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
        one.PixelData = np.ascontiguousarray(image[:, :, k].T).astype(np.int16).tobytes()
        for name in without:
            delattr(one, name)
        one.file_meta = pydicom.dataset.FileMetaDataset()
        one.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        one.save_as(folder / f"{k:03d}.dcm", enforce_file_format=True)
    return folder
