"""How the cases of a phantom lie on disk: Decathlon, BraTS, or plain folders of pictures."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from medseg.data.case import LabelVolume, Volume
from medseg.data.phantoms import mr, nodules

NAMINGS = {
    "2021": (("_flair", "_t1", "_t1ce", "_t2"), "_seg"),
    "2023": (("-t2f", "-t1n", "-t1c", "-t2w"), "-seg"),
}

# What dataset.json says of each kind in Decathlon layout.
_TOLD: dict[str, tuple[str, str, dict[str, int]]] = {
    "mr": ("MRI", "A bent tube, divided into head and tail, made from a seed", mr.LABELS),
    "nodules": ("CT", "Nodules among the vessels of the lungs, made from a seed", nodules.LABELS),
}
_TABLE = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm", "density", "place")


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
    modality, description, labels = _TOLD[order["kind"]]
    names = [f"phantom_{i + 1:03d}.nii.gz" for i in range(order["cases"])]
    state = {
        "name": "Phantom",
        "description": description,
        "licence": "CC0",
        "tensorImageSize": "3D",
        "modality": {"0": modality},
        "labels": {"0": "background", **{str(v): n for n, v in labels.items()}},
        "numTraining": len(names),
        "numTest": 0,
        "training": [{"image": f"./imagesTr/{n}", "label": f"./labelsTr/{n}"} for n in names],
        "test": [],
    }
    (folder / "dataset.json").write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")


def save_nodules(
    folder: Path,
    index: int,
    image: Volume,
    label: LabelVolume,
    found: tuple[nodules.Nodule, ...],
    order: dict[str, Any],
) -> None:
    """Write one case below ``imagesTr`` and ``labelsTr``, and its nodules beside the image.

    The table is LUNA16's, with the density and the place in two columns more: ``imagesTr`` can be
    read as LUNA16 is.
    """
    name = f"phantom_{index + 1:03d}"
    _save_nifti(folder / f"imagesTr/{name}.nii.gz", image.data[0].astype(np.int16), image)
    _save_nifti(folder / f"labelsTr/{name}.nii.gz", label.data, label)
    with (folder / "imagesTr/annotations.csv").open("a", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        if index == 0:
            table.writerow(_TABLE)
        for nodule in found:
            x, y, z = nodule.in_world(image.grid)
            numbers = (-x, -y, z, nodule.diameter)  # LUNA16 counts left, posterior, superior
            table.writerow((name, *(f"{n:.3f}" for n in numbers), nodule.density, nodule.place))


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
