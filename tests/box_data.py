"""Small data sets for detection in every layout that lists objects, and as masks.

Each has four images; in image ``n`` a bright ball (2D: disc) of `RADIUS` voxels lies at
``CENTRE + n`` along each axis. Volumes have voxels of 1 mm, so that the box of the ball reaches
from centre - radius to centre + radius in voxel edges.
"""

from __future__ import annotations

import csv
import json
import locale
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image

COUNT, SIZE, CENTRE, RADIUS = 4, 28, 12, 5
NAMES = [f"case{n}" for n in range(COUNT)]


def centre(number: int) -> int:
    """Where the ball of an image lies, along each axis, in voxel edges."""
    return CENTRE + number


def ball(number: int, ndim: int) -> np.ndarray:
    """Return the mask of an image's ball, ``(SIZE, …)``."""
    places = np.arange(SIZE) + 0.5 - centre(number)
    away = sum(np.meshgrid(*[places**2] * ndim, indexing="ij"))
    return away <= RADIUS**2


def image(number: int, ndim: int) -> np.ndarray:
    """Return an image's values: noise, and the ball far above it."""
    rng = np.random.default_rng(number)
    return 20 + 5 * rng.standard_normal((SIZE,) * ndim) + 150 * ball(number, ndim)


def volume(path: Path, data: np.ndarray, affine: np.ndarray | None = None) -> Path:
    """Write a NIfTI file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, np.eye(4) if affine is None else affine), path)
    return path


def picture(path: Path, number: int) -> Path:
    """Write a grey picture; its rows are the first axis."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(image(number, 2), 0, 255).astype(np.uint8)).save(path)
    return path


@contextmanager
def _same_locale() -> Iterator[None]:
    """Undo what GDCM's writer does to the process: text files would be ASCII from then on."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


def series(
    folder: Path,
    data: np.ndarray,
    *,
    positions: Sequence[Sequence[float]] | None = None,
    series: str = "1.2.3.4",
    patient: str = "P1",
    modality: str = "CT",
    spacing: tuple[float, float] = (0.5, 0.75),
    names: Sequence[str] | None = None,
) -> Path:
    """Write axial slices ``(I, J, K)`` as a folder of DICOM files, 2.5 mm apart by themselves."""
    import SimpleITK as sitk

    folder.mkdir(parents=True, exist_ok=True)
    count = data.shape[2]
    positions = positions or [(-20.0, -30.0, 2.5 * k) for k in range(count)]
    for k in range(count):
        slab = sitk.GetImageFromArray(data[:, :, k].T[None].astype(np.int16))
        slab.SetSpacing((*spacing, 2.5))
        slab.SetOrigin([float(x) for x in positions[k]])
        tags = {
            "0008|0060": modality,
            "0010|0020": patient,
            "0020|000e": series,
            "0020|000d": "1.2.3",
            "0008|0018": f"{series}.{k + 1}",
            "0020|0032": "\\".join(f"{x:g}" for x in positions[k]),
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }
        for tag, value in tags.items():
            slab.SetMetaData(tag, value)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetImageIO("GDCMImageIO")
        writer.SetFileName(str(folder / (names[k] if names else f"{k:03d}.dcm")))
        with _same_locale():
            writer.Execute(slab)
    return folder


def voc(root: Path) -> Path:
    """Write Pascal VOC: pixels count from 1, the last is included."""
    for n, name in enumerate(NAMES):
        picture(root / f"JPEGImages/{name}.png", n)
        voc_objects(root, name, [("cell", centre(n) - RADIUS + 1, centre(n) + RADIUS)])
    return root


def voc_objects(root: Path, name: str, listed: Sequence[tuple]) -> Path:
    """Write the objects of a picture: class, and ``x0, y0, x1, y1``, or what both axes share."""
    text = ""
    for kind, *box in listed:
        x0, y0, x1, y1 = box if len(box) == 4 else (box[0], box[0], box[1], box[1])
        corners = f"<xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        text += f"<object><name>{kind}</name><bndbox>{corners}</bndbox></object>"
    path = root / f"Annotations/{name}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation>{text}</annotation>")
    return path


def coco(root: Path) -> Path:
    """Write COCO: a corner and a size, x first."""
    images, drawn = [], []
    for n, name in enumerate(NAMES):
        picture(root / f"images/{name}.png", n)
        images.append({"id": n, "file_name": f"{name}.png", "width": SIZE, "height": SIZE})
        low, size = centre(n) - RADIUS, 2 * RADIUS
        drawn.append({"id": n, "image_id": n, "category_id": 1, "bbox": [low, low, size, size]})
    state = {
        "images": images,
        "annotations": drawn,
        "categories": [{"id": 1, "name": "cell"}],
    }
    (root / "annotations.json").write_text(json.dumps(state))
    return root


def nndetection(root: Path) -> Path:
    """Write nnDetection's layout: instance maps and the classes of their instances."""
    for n, name in enumerate(NAMES):
        volume(root / f"imagesTr/{name}_0000.nii.gz", image(n, 3).astype(np.float32))
        volume(root / f"labelsTr/{name}.nii.gz", ball(n, 3).astype(np.uint8))
        (root / f"labelsTr/{name}.json").write_text(json.dumps({"instances": {"1": 0}}))
    state = {"task": "T", "labels": {"0": "nodule"}, "modalities": {"0": "CT"}}
    (root / "dataset.json").write_text(json.dumps(state))
    return root


def luna16(root: Path) -> Path:
    """Write LUNA16: MetaImages in LPS, and a table of centres and diameters in LPS."""
    import SimpleITK as sitk

    rows = []
    for n in range(COUNT):
        path = root / f"subset{n}/1.3.{n}.mhd"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = image(n, 3).astype(np.int16) - 1000
        sitk.WriteImage(sitk.GetImageFromArray(data.T), str(path))  # voxel centres at 0, 1, … mm
        rows.append((f"1.3.{n}", *[centre(n) - 0.5] * 3, 2 * RADIUS))
    table(root / "annotations.csv", "seriesuid,coordX,coordY,coordZ,diameter_mm", rows)
    return root


def table(path: Path, header: str, rows: Sequence[Sequence]) -> Path:
    """Write a CSV file."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path


def lidc(root: Path) -> Path:
    """Write LIDC-IDRI: DICOM slices, and outlines in XML of two readers who agree."""
    for n in range(COUNT):
        uid, folder = f"1.3.{n}", root / f"LIDC-IDRI-{n:04d}/1.9/1.3.{n}"
        positions = [(0.0, 0.0, float(k)) for k in range(SIZE)]
        data = image(n, 3) - 1000
        series(folder, data, positions=positions, series=uid, patient=f"P{n}", spacing=(1.0, 1.0))
        low, high = centre(n) - RADIUS - 1, centre(n) + RADIUS  # outlines run around the nodule
        corners = [(low, low), (high, low), (high, high), (low, high)]
        edges = "".join(
            f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in corners
        )
        rois = "".join(
            f"<roi><imageZposition>{z}.0</imageZposition><inclusion>TRUE</inclusion>{edges}</roi>"
            for z in range(centre(n) - RADIUS, centre(n) + RADIUS)
        )
        read = f"<unblindedReadNodule><noduleID>1</noduleID>{rois}</unblindedReadNodule>"
        reading = f"<readingSession>{read}</readingSession>"
        (folder / "readings.xml").write_text(
            '<?xml version="1.0"?><LidcReadMessage xmlns="http://www.nih.gov"><ResponseHeader>'
            f"<SeriesInstanceUid>{uid}</SeriesInstanceUid></ResponseHeader>{reading * 2}"
            "</LidcReadMessage>"
        )
    return root


def boxlist(root: Path) -> Path:
    """Write a CSV list of boxes in voxels, as of the NLST."""
    rows = []
    for n, name in enumerate(NAMES):
        volume(root / f"scans/{name}.nii.gz", image(n, 3).astype(np.float32))
        low, high = centre(n) - RADIUS, centre(n) + RADIUS
        rows.append((f"scans/{name}.nii.gz", "nodule", *[low] * 3, *[high] * 3))
    table(root / "boxes.csv", "image,class,xmin,ymin,zmin,xmax,ymax,zmax", rows)
    return root


def instances(root: Path) -> Path:
    """Write plain folders with maps that number their objects: 1, and 2 in a corner."""
    for n, name in enumerate(NAMES):
        volume(root / f"images/{name}.nii.gz", image(n, 3).astype(np.float32))
        numbers = ball(n, 3).astype(np.uint8)
        numbers[:3, :3, :3] = 2
        volume(root / f"labels/{name}.nii.gz", numbers)
    return root


def masks(root: Path) -> Path:
    """Write the Decathlon's layout."""
    for n, name in enumerate(NAMES):
        volume(root / f"imagesTr/{name}.nii.gz", image(n, 3).astype(np.float32))
        volume(root / f"labelsTr/{name}.nii.gz", ball(n, 3).astype(np.uint8))
    state = {
        "name": "balls",
        "tensorImageSize": "3D",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "ball"},
        "numTraining": COUNT,
        "training": [
            {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"}
            for name in NAMES
        ],
        "test": [],
    }
    (root / "dataset.json").write_text(json.dumps(state))
    return root


# Layouts that list objects; of the others the recipe says what an object is.
LISTED: dict[str, Callable[[Path], Path]] = {
    "voc": voc,
    "coco": coco,
    "nndetection": nndetection,
    "luna16": luna16,
    "lidc": lidc,
    "boxlist": boxlist,
}
