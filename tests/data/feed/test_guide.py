"""A guide that equals the label must go where the label goes, to the last voxel."""

from __future__ import annotations

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from medseg.data.feed import Batch, MemoryCase, PatchDataset, SegmentationDataModule, VolumeDataset
from medseg.data.feed.augment import Affine, Elastic, Gamma, Mirror, QuarterTurn, registry
from medseg.data.feed.guide import GuideChannels, cascade_augmentation, one_hot
from medseg.data.feed.tensor_case import on_device
from medseg.errors import InputError

CLASSES = 2
TRANSFORMS = {
    "none": lambda: [],
    "exact": lambda: [Mirror(p=1.0), QuarterTurn(p=1.0)],
    "warped": lambda: [Affine(p_rotation=1.0, p_scale=1.0), Gamma(p=1.0)],
    "elastic": lambda: [Elastic(p=1.0)],
    "monai": lambda: [registry.create("monai.RandFlipd", {"prob": 1.0, "spatial_axis": 0})],
}


def make_cases(count=3, shape=(20, 18, 16), *, guided=True, seed=0):
    cases = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        label = np.zeros(shape, np.uint8)
        start = [int(rng.integers(1, n // 2)) for n in shape]
        label[tuple(slice(a, a + 6) for a in start)] = 1
        label[tuple(slice(a + 4, a + 9) for a in start)] = 2
        image = rng.normal(size=(1, *shape))
        cases.append(MemoryCase(f"case{number}", image, label, guide=label if guided else None))
    return cases


def make_data(transforms, *, guided=True, shape=(20, 18, 16), patch=(12, 12, 12), **options):
    return SegmentationDataModule(
        make_cases(shape=shape, guided=guided),
        make_cases(1, shape=shape, guided=guided),
        patch_size=patch,
        batch_size=2,
        steps_per_epoch=3,
        augmentation=transforms,
        num_workers=0,
        guide_classes=CLASSES,
        **options,
    )


class Recorder(pl.LightningModule):
    """Writes down the batches that it is given."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.trained, self.validated = [], []

    def training_step(self, batch, batch_idx):
        self.trained.append(batch)
        return self.layer(torch.zeros(1, 1)).sum()

    def validation_step(self, batch, batch_idx):
        self.validated.append(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def recorded(data):
    module = Recorder()
    pl.Trainer(
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    ).fit(module, datamodule=data)
    return module


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_guide_goes_where_the_label_goes(name):
    module = recorded(make_data(TRANSFORMS[name]()))
    for batch in module.trained:
        assert batch.image.shape[1] == 1 + CLASSES and batch.label.shape[1] == 1
        assert torch.equal(batch.image[:, 1:] > 0, one_hot(batch.label[:, 0], CLASSES, axis=1))
    assert any(batch.image[:, 1:].any() for batch in module.trained)
    (whole,) = module.validated
    assert torch.equal(whole.image[:, 1:] > 0, one_hot(whole.label[:, 0], CLASSES, axis=1))


def test_a_guide_goes_along_in_two_dimensions():
    module = recorded(make_data([Affine(p_rotation=1.0)], shape=(30, 28), patch=(16, 16)))
    for batch in module.trained:
        assert batch.image.shape == (2, 3, 16, 16)
        assert torch.equal(batch.image[:, 1:] > 0, one_hot(batch.label[:, 0], CLASSES, axis=1))


def test_what_augmentation_does_to_the_image_does_not_depend_on_a_guide():
    with_one = recorded(make_data([Affine(p_rotation=1.0), Gamma(p=1.0)]))
    without = recorded(make_data([Affine(p_rotation=1.0), Gamma(p=1.0)], guided=False))
    for a, b in zip(with_one.trained, without.trained, strict=True):
        assert torch.equal(a.image[:, :1], b.image)
        assert torch.equal(a.label, b.label)


def test_only_training_changes_the_masks():
    data = make_data([], guide_augmentation=cascade_augmentation())
    for transform in data.guide.augment.transforms:
        transform.p = transform.p_class = 1.0
    module = recorded(data)
    changed = [
        not torch.equal(b.image[:, 1:] > 0, one_hot(b.label[:, 0], CLASSES, axis=1))
        for b in module.trained
    ]
    assert all(changed)
    (whole,) = module.validated
    assert torch.equal(whole.image[:, 1:] > 0, one_hot(whole.label[:, 0], CLASSES, axis=1))


def test_a_batch_is_its_items_stacked_with_a_guide_too():
    def around(seed, shape):
        return ((2, 3),) * 3

    data = PatchDataset(make_cases(), patch_size=(8, 8, 8), batch_size=2, margin=around)
    batch, items = data.batch([0, 1]), [data[0], data[1]]
    assert batch.label.shape[1] == 2
    for number, item in enumerate(items):
        assert torch.equal(batch.label[number], item.label)
        assert torch.equal(item.label[0], item.label[1])
        if item.wide is not None:
            assert torch.equal(batch.wide[number].label, item.wide.label)
            assert torch.equal(item.wide.label[0], item.wide.label[1])


def test_cases_that_moved_to_a_device_bring_their_guide():
    (case,) = make_cases(1)
    moved = on_device(case, torch.device("cpu"))
    assert torch.equal(moved.guide, torch.from_numpy(case.guide))
    item = VolumeDataset([moved], guide_classes=CLASSES)[0]
    assert item.image.shape[0] == 1 + CLASSES


def test_a_case_without_a_guide_among_guided_ones_is_refused():
    cases = [*make_cases(1), *make_cases(1, guided=False, seed=1)]
    data = PatchDataset(cases, patch_size=(8, 8, 8), batch_size=2)
    with pytest.raises(InputError, match="guides it"):
        data.batch([0, 1])


def test_a_guide_of_another_shape_is_refused():
    with pytest.raises(InputError, match="different shapes"):
        MemoryCase("a", np.zeros((1, 4, 4, 4)), guide=np.zeros((4, 4, 5), np.uint8))


def test_a_batch_without_a_guide_is_returned_as_it_came():
    batch = Batch(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), torch.zeros(1), ["a"])
    assert GuideChannels(2)(batch, training=True) is batch
