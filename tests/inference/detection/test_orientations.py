"""A trained network finds the same boxes however the axes of an image were stored."""

from __future__ import annotations

import itertools
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import pytorch_lightning as pl
import SimpleITK as sitk
import torch
from PIL import ExifTags, Image

from medseg.data.feed import MemoryCase, SegmentationDataModule
from medseg.data.prepare.objects import paint
from medseg.detection.anchors import AnchorGenerator
from medseg.geometry import Grid
from medseg.geometry.boxes import Boxes, voxels_of
from medseg.inference.detection.detector import Detector
from medseg.inference.detection.finders import AnchorFinder
from medseg.inference.detection.looks import BoxWindow
from medseg.inference.detection.result import Detections
from medseg.labels import LabelScheme
from medseg.losses.detection_loss import DetectionLoss
from medseg.networks.detection import RetinaNet
from medseg.planning.plan import Normalisation, PreprocessingPlan
from medseg.tasks.detection import DetectionTask

LABELS = LabelScheme({"nodule": 1, "mass": 2})
# Grey values of pictures, and of volumes alike.
MIDDLE, STEP = 120.0, 40.0
SCALE = Normalisation("ct", lower=0, upper=255, mean=MIDDLE, std=STEP)
TURNS = [
    (axes, flips)
    for axes in itertools.permutations(range(3))
    for flips in itertools.product((1, -1), repeat=3)
]
# Of training, by the number of axes.
STEPS = {2: 90, 3: 60}
SUFFIXES = (".nii.gz", ".mha", ".nrrd")


def shown(label: np.ndarray, seed: int) -> np.ndarray:
    """Nodules are bright, masses dark."""
    noise = np.random.default_rng(seed).normal(0, 0.1, label.shape)
    return noise + 2.0 * (label == 1) - 2.0 * (label == 2)


def case(number: int, ndim: int, size: int = 32) -> MemoryCase:
    rng = np.random.default_rng(number)
    lower = np.array([[3, 4, 5][:ndim], [18, 17, 16][:ndim]]) + rng.integers(0, 3, (2, ndim))
    boxes = Boxes(np.hstack([lower, lower + np.array([[8], [11]])]), [0, 1])
    label = paint(boxes, (size,) * ndim, np.array([1, 2]))
    image = shown(label, number)[None].astype(np.float32)
    return MemoryCase(f"c{number}", image, label, boxes=boxes)


def trained(ndim: int, folder) -> Detector:
    """Train a small network for a few seconds."""
    torch.manual_seed(0)
    network = RetinaNet(
        spatial_dims=ndim,
        in_channels=1,
        num_classes=2,
        num_anchors=1,
        features=(8, 16, 16),
        channels=16,
        levels=(1,),
    )
    anchors = AnchorGenerator([[[9.0] * ndim]], network.strides)
    window = BoxWindow((32,) * ndim, overlap=0.25)
    task = DetectionTask(
        network,
        LABELS,
        loss=DetectionLoss(anchors),
        finder=AnchorFinder(anchors),
        window=window,
        ema=None,
        optimizer=lambda p: torch.optim.AdamW(p, lr=5e-3),
    )
    data = SegmentationDataModule(
        [case(n, ndim) for n in range(6)],
        [],
        patch_size=(32,) * ndim,
        batch_size=2,
        steps_per_epoch=STEPS[ndim],
        augmentation=None,
        num_workers=0,
        cache="ram",
    )
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    pl.Trainer(default_root_dir=folder, accelerator="cpu", max_steps=STEPS[ndim], **quiet).fit(
        task, data
    )
    orientation, spacing = ("RAS", (1.5, 1.5, 2.0)) if ndim == 3 else (None, (1.0, 1.0))
    return Detector(
        task.network,
        labels=LABELS,
        preprocessing=PreprocessingPlan(orientation, "none", spacing, (SCALE,)),
        finder=AnchorFinder(anchors, score=0.3),
        window=window,
        device="cpu",
    )


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return trained(3, tmp_path_factory.mktemp("volumes"))


@pytest.fixture(scope="module")
def detector_of_pictures(tmp_path_factory):
    return trained(2, tmp_path_factory.mktemp("pictures"))


def tilted() -> np.ndarray:
    """A grid of its own spacing, far from the origin, a few degrees off the scanner's axes."""
    a, b = np.deg2rad([9.0, -6.0])
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x * (1.2, 1.4, 2.3)
    affine[:3, 3] = (-31.0, 12.5, 240.0)
    return affine


# Nodule and mass, of 8 and 11 voxels of the plan.
DRAWN = Boxes([[4, 5, 4, 14, 13.5, 11], [28, 14, 13, 41.7, 25.8, 22.6]], [0, 1])
SHAPE, AFFINE = (46, 31, 27), tilted()


def volume() -> np.ndarray:
    label = paint(DRAWN, SHAPE, np.array([1, 2]))
    return (MIDDLE + STEP * shown(label, 99)).astype(np.float32)


def stored(array: np.ndarray, affine: np.ndarray, axes, flips) -> tuple[np.ndarray, np.ndarray]:
    """Store the same scan along permuted and flipped axes, by hand."""
    moved, there = array.transpose(axes), affine[:, [*axes, 3]].copy()
    for axis, sign in enumerate(flips):
        if sign < 0:
            moved = np.flip(moved, axis)
            there[:3, 3] += there[:3, axis] * (moved.shape[axis] - 1)
            there[:3, axis] *= -1
    return np.ascontiguousarray(moved), there


def write(path, array: np.ndarray, affine: np.ndarray) -> None:
    if path.name.endswith(".nii.gz"):
        nibabel.save(nibabel.Nifti1Image(array, affine), path)
        return
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    to_lps = np.diag([-1, -1, 1])
    image.SetSpacing(spacing.tolist())
    image.SetDirection((to_lps @ affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin((to_lps @ affine[:3, 3]).tolist())
    sitk.WriteImage(image, str(path))


def look(detector: Detector, path) -> Detections:
    """Find what is likely; by class, since the scores of two classes may be nearly the same."""
    found = detector(path).at_least(0.5)
    order = np.lexsort((-found.scores, found.boxes.classes))
    return replace(found, boxes=found.boxes[order])


def require_found(found: Detections, drawn: Boxes) -> None:
    """Hold the surest box of each class against what was drawn."""
    for number in range(2):
        mine = found.boxes[found.boxes.classes == number]
        (there,) = drawn[drawn.classes == number].corners
        assert len(mine) and np.abs(mine.corners[0] - there).max() < 3


@pytest.fixture(scope="module")
def found(detector, tmp_path_factory):
    """What is found where nothing is turned."""
    path = tmp_path_factory.mktemp("straight") / "scan.nii.gz"
    write(path, volume(), AFFINE)
    return look(detector, path)


def test_the_network_has_learnt_what_to_find(found):
    require_found(found, DRAWN)


@pytest.mark.parametrize(
    ("axes", "flips"), TURNS, ids=lambda turn: "".join(map(str, turn)).replace("-1", "-")
)
def test_the_boxes_are_the_same_in_all_48_orientations(detector, found, tmp_path, axes, flips):
    number = TURNS.index((axes, flips))
    path = tmp_path / f"scan{SUFFIXES[number % len(SUFFIXES)]}"
    array, affine = stored(volume(), AFFINE, axes, flips)
    write(path, array, affine)
    turned = look(detector, path)
    assert turned.grid.shape == array.shape and np.allclose(turned.grid.affine, affine, atol=1e-3)
    assert turned.names == found.names
    np.testing.assert_allclose(turned.scores, found.scores, atol=1e-3)
    # In millimetres, and brought back onto the scan as it was: half a voxel is what is allowed.
    ours, theirs = turned.to_world(), found.to_world()
    assert np.abs(ours.centres - theirs.centres).max() < 0.5 * min(found.grid.spacing)
    back = Boxes.from_world(ours, Grid(SHAPE, AFFINE))
    assert np.abs(back.corners - found.boxes.corners).max() < 0.5
    # And in the turned file's own voxels they hold what is bright, or dark.
    for box, name in zip(turned.boxes.corners, turned.names, strict=True):
        inside = array[voxels_of(box, array.shape)].mean()
        assert inside > MIDDLE + STEP / 2 if name == "nodule" else inside < MIDDLE - STEP / 2


# What undoes the turn that each EXIF orientation asks a viewer for.
UNDO = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", UNDO)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_a_picture_has_the_same_boxes_however_the_camera_was_held(
    detector_of_pictures, tmp_path, orientation, suffix
):
    drawn = Boxes([[4, 6, 12, 14], [20, 31, 31, 42]], [0, 1])
    label = paint(drawn, (38, 50), np.array([1, 2]))
    picture = Image.fromarray((MIDDLE + STEP * shown(label, 7)).clip(0, 255).astype(np.uint8))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    undo = UNDO[orientation]
    asked = {"quality": 95} if suffix == ".jpg" else {}
    (picture if undo is None else picture.transpose(undo)).save(
        tmp_path / f"a{suffix}", exif=exif, **asked
    )
    picture.save(tmp_path / "straight.png")
    turned = look(detector_of_pictures, tmp_path / f"a{suffix}")
    straight = look(detector_of_pictures, tmp_path / "straight.png")
    assert turned.names == straight.names
    assert np.abs(turned.boxes.corners - straight.boxes.corners).max() < 0.5
    require_found(straight, drawn)
