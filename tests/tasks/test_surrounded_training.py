"""A network that reads around what it segments, from the feed to whole volumes."""

from __future__ import annotations

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from medseg.data.feed import MemoryCase, SegmentationDataModule
from medseg.inference.window import SlidingWindow
from medseg.labels import LabelScheme
from medseg.losses import CrossEntropyLoss
from medseg.networks import DeepMedic
from medseg.networks.input_context import with_context
from medseg.tasks import SegmentationTask

LABELS = LabelScheme({"background": 0, "a": 1, "b": 2})


def blobs(shape, radius):
    """A case with two balls, one bright and one dark, in noise; ``radius`` in voxels per axis."""
    rng = np.random.default_rng(0)
    places = np.indices(shape).reshape(len(shape), -1).T
    label = np.zeros(len(places), dtype=np.uint8)
    for value, part in ((1, 0.3), (2, 0.7)):
        centre = part * np.asarray(shape)
        label[(((places - centre) / radius) ** 2).sum(1) < 1] = value
    label = label.reshape(shape)
    image = np.array([0.0, 2.0, -2.0])[label] + rng.normal(0, 0.25, shape)
    return MemoryCase("blobs", image[None], label)


def network(dims, **options):
    torch.manual_seed(0)
    options = {"features": (8, 8, 8), "hidden": (16,), **options}
    return DeepMedic(spatial_dims=dims, in_channels=1, num_classes=3, **options)


@pytest.mark.parametrize(
    ("shape", "radius", "patch", "factor"),
    [
        ((48, 40), (9, 9), (24, 24), 3),
        ((24, 28, 24), (6, 6, 6), (16, 16, 16), 3),
        ((28, 24, 8), (6, 6, 2), (16, 16, 6), (3, 3, 1)),
    ],
    ids=["2d", "3d", "3d-anisotropic"],
)
def test_a_case_is_learnt_by_heart(shape, radius, patch, factor):
    pl.seed_everything(0)
    net = network(len(shape), factor=factor)
    case = blobs(shape, radius)
    data = SegmentationDataModule(
        [case],
        [case],
        patch_size=patch,
        context=net.input_context,
        batch_size=2,
        steps_per_epoch=80,
        num_workers=0,
        augmentation=None,
    )
    task = SegmentationTask(
        net,
        LABELS,
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=2e-2),
        window=SlidingWindow(patch),
        ema=0.9,
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(task, data)
    assert trainer.callback_metrics["val/dice"] > 0.95


def test_the_loss_compares_the_middle_of_the_label():
    net = network(2)
    task = SegmentationTask(net, LABELS, loss=CrossEntropyLoss(), ema=None)
    image = torch.randn(2, 1, 6 + 18, 9 + 18)
    label = torch.randint(0, 3, (2, 1, 6 + 18, 9 + 18))
    assert net.input_context == (9, 9)
    loss = task.training_step((image, label), 0)
    expected = torch.nn.functional.cross_entropy(net(image), label[:, 0, 9:-9, 9:-9])
    assert torch.allclose(loss, expected)


def test_logits_that_are_too_small_for_no_declared_reason_are_not_hidden():
    task = SegmentationTask(torch.nn.Conv2d(1, 3, 3), LABELS, loss=CrossEntropyLoss(), ema=None)
    with pytest.raises((ValueError, RuntimeError)):
        task.training_step((torch.randn(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)), 0)


@pytest.mark.parametrize("ema", [None, 0.9])
def test_without_a_window_a_volume_is_predicted_whole(ema):
    net = network(2)
    task = SegmentationTask(net, LABELS, ema=ema)
    image = torch.randn(1, 1, 11, 14)
    logits = task.predict_logits(image)
    assert logits.shape == (1, 3, 11, 14)
    assert torch.equal(logits, net.eval()(with_context(image, net.input_context)))
