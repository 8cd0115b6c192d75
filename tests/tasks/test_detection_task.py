from __future__ import annotations

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from medseg.data.feed import MemoryCase, SegmentationDataModule
from medseg.data.feed.batch import Batch
from medseg.data.prepare.objects import paint
from medseg.detection.anchors import AnchorGenerator
from medseg.errors import InputError
from medseg.geometry.boxes import Boxes
from medseg.inference.detection.finders import AnchorFinder, PeakFinder
from medseg.inference.detection.looks import BoxWindow
from medseg.labels import LabelScheme
from medseg.losses.centre_point_loss import CentrePointLoss
from medseg.losses.detection_loss import DetectionLoss
from medseg.networks.detection import CentreNet, RetinaNet, RetinaUNet
from medseg.objects import IGNORED_OBJECT
from medseg.tasks.detection import DetectionTask

LABELS = LabelScheme({"nodule": 1, "mass": 2})
FEATURES = (8, 16, 16)


def case(number: int, ndim: int, size: int = 32) -> MemoryCase:
    rng = np.random.default_rng(number)
    lower = np.array([[3, 4, 5][:ndim], [18, 17, 16][:ndim]]) + rng.integers(0, 3, (2, ndim))
    boxes = Boxes(np.hstack([lower, lower + np.array([[8], [11]])]), [0, 1])
    label = paint(boxes, (size,) * ndim, np.array([1, 2]))
    image = rng.normal(0, 0.1, (1, *label.shape)) + 2.0 * (label == 1) - 2.0 * (label == 2)
    return MemoryCase(f"c{number}", image.astype(np.float32), label, boxes=boxes)


def task_of(kind: str, ndim: int, *, patch: int = 32, **options) -> DetectionTask:
    common = {
        "spatial_dims": ndim,
        "in_channels": 1,
        "num_classes": 2,
        "features": FEATURES,
        "channels": 16,
    }
    window = BoxWindow((patch,) * ndim)
    if kind == "centre_net":
        network = CentreNet(**common, level=1)
        (stride,) = network.strides
        return DetectionTask(
            network,
            LABELS,
            loss=CentrePointLoss(stride),
            finder=PeakFinder(stride),
            window=window,
            **options,
        )
    cls = RetinaUNet if kind == "retina_unet" else RetinaNet
    network = cls(**common, num_anchors=1, levels=(1,))
    anchors = AnchorGenerator([[[9.0] * ndim]], network.strides)
    return DetectionTask(
        network,
        LABELS,
        loss=DetectionLoss(anchors),
        finder=AnchorFinder(anchors),
        window=window,
        **options,
    )


def trainer(tmp_path, **options) -> pl.Trainer:
    return pl.Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


@pytest.mark.parametrize("kind", ["retina_net", "retina_unet", "centre_net"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_every_network_trains_and_finds_what_it_was_shown(tmp_path, kind, ndim):
    torch.manual_seed(0)
    cases = [case(n, ndim) for n in range(4)]
    data = SegmentationDataModule(
        cases[:3],
        cases[3:],
        patch_size=(32,) * ndim,
        batch_size=2,
        steps_per_epoch=60,
        augmentation=None,
        num_workers=0,
        cache="ram",
    )
    task = task_of(
        kind,
        ndim,
        ema=None,
        optimizer=lambda p: torch.optim.AdamW(p, lr=5e-3),
    )
    fit = trainer(tmp_path, max_steps=60)
    fit.fit(task, datamodule=data)
    assert DetectionTask.score_name == "val/map" and fit.callback_metrics["val/map"] > 0.9
    assert fit.callback_metrics["val/map/mass"] > 0.9


def batch(boxes: Boxes | None) -> Batch:
    image = torch.zeros(1, 1, 32, 32)
    label = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    return Batch(image, label, torch.zeros(1), ["a"], boxes=None if boxes is None else [boxes])


@pytest.mark.parametrize("kind", ["retina_net", "retina_unet", "centre_net"])
@pytest.mark.parametrize(
    "boxes",
    [Boxes.none(2), Boxes([[2, 2, 12, 12]], [IGNORED_OBJECT])],
    ids=["empty", "ignored"],
)
def test_patches_without_objects_have_a_finite_loss_and_gradients(kind, boxes):
    task = task_of(kind, 2)
    loss = task.batch_loss(batch(boxes))
    loss.backward()
    gradients = [p.grad for p in task.network.parameters() if p.grad is not None]
    assert torch.isfinite(loss) and all(torch.isfinite(g).all() for g in gradients)


def test_a_batch_without_boxes_is_refused_by_the_names_of_its_cases():
    with pytest.raises(InputError, match="no boxes") as error:
        task_of("retina_net", 2).batch_loss(batch(None))
    assert error.value.found == "cases a"


def test_images_larger_than_the_patch_are_looked_at_window_by_window(tmp_path):
    task = task_of("retina_net", 2)
    found = task.find(torch.zeros(2, 1, 50, 70))
    assert len(found) == 2
    for one in found:
        assert one.corners.shape[1] == 4
        assert (one.corners[:, 2] <= 50).all() and (one.corners[:, 3] <= 70).all()


def test_the_checkpoint_says_that_boxes_are_found(tmp_path):
    checkpoint: dict = {}
    task_of("retina_net", 2, description={"format": "x"}).on_save_checkpoint(checkpoint)
    assert checkpoint["medseg"]["task"] == "detection"
    assert checkpoint["medseg"]["labels"]["values"] == {"background": 0, "nodule": 1, "mass": 2}
