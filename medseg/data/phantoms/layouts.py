"""How the cases of a phantom lie on disk: Decathlon, BraTS, or plain folders of pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from medseg.data.case import LabelVolume, Volume
from medseg.data.phantoms import mr

NAMINGS = {
    "2021": (("_flair", "_t1", "_t1ce", "_t2"), "_seg"),
    "2023": (("-t2f", "-t1n", "-t1c", "-t2w"), "-seg"),
}


def save_decathlon(
    folder: Path, index: int, image: Volume, label: LabelVolume, order: dict[str, Any]
) -> None:
    """Write one case below ``imagesTr`` and ``labelsTr``."""
    name = f"phantom_{index + 1:03d}.nii.gz"
    data = image.data[0]
    # As in the real task: some scanners store bytes, others floats.
    bytes_fit = data.max() <= 255 and bool((data == np.rint(data)).all())
    _save_nifti(
        folder / "imagesTr" / name, data.astype(np.uint8 if bytes_fit else np.float32), image
    )
    _save_nifti(folder / "labelsTr" / name, label.data, label)


def describe_decathlon(folder: Path, order: dict[str, Any]) -> None:
    """Write ``dataset.json`` for the cases of an order."""
    names = [f"phantom_{i + 1:03d}.nii.gz" for i in range(order["cases"])]
    state = {
        "name": "Phantom",
        "description": "A bent tube, divided into head and tail, made from a seed",
        "licence": "CC0",
        "tensorImageSize": "3D",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", **{str(v): n for n, v in mr.LABELS.items()}},
        "numTraining": len(names),
        "numTest": 0,
        "training": [{"image": f"./imagesTr/{n}", "label": f"./labelsTr/{n}"} for n in names],
        "test": [],
    }
    (folder / "dataset.json").write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")


def save_brats(
    folder: Path, index: int, image: Volume, label: LabelVolume, order: dict[str, Any]
) -> None:
    """Write one case's folder in the order's naming, labels included."""
    endings, seg = NAMINGS[order["naming"]]
    old = order["naming"] == "2021"
    name = f"BraTS2021_{index:05d}" if old else f"BraTS-GLI-{index:05d}-000"
    for channel, ending in zip(image.data, endings, strict=True):
        _save_nifti(folder / name / f"{name}{ending}.nii.gz", channel.astype(np.int16), image)
    values = np.array([0, 1, 2, 4 if old else 3], dtype=np.uint8)[label.data]
    _save_nifti(folder / name / f"{name}{seg}.nii.gz", values, label)


def save_pictures(
    folder: Path, index: int, image: Volume, label: LabelVolume, order: dict[str, Any]
) -> None:
    """Write one picture and its mask of 0 and 255."""
    from PIL import Image

    pairs = {"images": image.data[0], "labels": label.data * 255}
    for name, array in pairs.items():
        (folder / name).mkdir(exist_ok=True)
        Image.fromarray(array.astype(np.uint8)).save(folder / name / f"cells_{index + 1:03d}.png")


def _save_nifti(path: Path, array: np.ndarray, volume: Volume | LabelVolume) -> None:
    import nibabel

    path.parent.mkdir(exist_ok=True)
    image = nibabel.Nifti1Image(array, volume.grid.affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
