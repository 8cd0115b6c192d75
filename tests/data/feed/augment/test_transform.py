from __future__ import annotations

import numpy as np
import pytest
import torch

from medseg.data.feed import Batch
from medseg.data.feed.augment import Affine, Compose, Gamma, Mirror, default, split
from medseg.data.feed.augment.defaults import rotation_rule
from medseg.data.feed.augment.monai_adapter import MonaiTransform


def make_batch(seeds, shape=(2, 12, 14, 10)):
    images, labels = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        images.append(torch.from_numpy(rng.normal(size=shape).astype(np.float32)))
        labels.append(torch.from_numpy(rng.integers(0, 3, (1, *shape[1:])).astype(np.uint8)))
    return Batch(
        torch.stack(images), torch.stack(labels), torch.tensor(seeds), [str(s) for s in seeds]
    )


@pytest.mark.parametrize("shape", [(2, 12, 14, 10), (3, 20, 18), (1, 24, 20, 5)])
def test_a_sample_is_augmented_alike_in_every_batch(shape):
    compose = Compose(default(shape[1:]))
    seeds = list(range(12))
    together = compose(make_batch(seeds, shape))
    backwards = compose(make_batch(seeds[::-1], shape))
    for i, seed in enumerate(seeds):
        alone = compose(make_batch([seed], shape))
        for batch, place in ((together, i), (backwards, 11 - i)):
            assert torch.equal(alone.image[0], batch.image[place])
            assert torch.equal(alone.label[0], batch.label[place])
    assert not torch.equal(together.image, make_batch(seeds, shape).image)


def test_augmentation_neither_reads_nor_moves_the_global_generators():
    state = torch.get_rng_state()
    numbers = np.random.get_state()[1].copy()
    batch = make_batch(range(8))
    first = Compose(default((12, 14, 10)))(batch)
    torch.rand(3)
    second = Compose(default((12, 14, 10)))(batch)
    torch.set_rng_state(state)
    assert torch.equal(first.image, second.image)
    np.testing.assert_array_equal(np.random.get_state()[1], numbers)


def test_shapes_types_and_label_values_stay():
    batch = make_batch(range(16))
    before = batch.image.clone()
    out = Compose(default((12, 14, 10)))(batch)
    assert torch.equal(batch.image, before)
    assert out.image.shape == batch.image.shape
    assert out.image.dtype == torch.float32
    assert out.label.dtype == torch.uint8
    assert set(out.label.unique().tolist()) <= {0, 1, 2}
    assert torch.isfinite(out.image).all()
    half = Compose(default((12, 14, 10)))(batch._replace(image=batch.image.bfloat16()))
    assert half.image.dtype == torch.bfloat16


def test_unlabelled_batches_are_augmented_too():
    batch = make_batch(range(8))._replace(label=None)
    assert Compose(default((12, 14, 10)))(batch).label is None


def test_two_of_a_kind_choose_apart_and_taking_one_out_changes_nothing_else():
    shape = (1, 8, 8, 8)
    two = Compose([Gamma(p=1), Mirror(), Gamma(p=1)]).make_params([5], shape)[0]
    assert two[0] != two[2]
    one = Compose([Mirror()]).make_params([5], shape)[0]
    np.testing.assert_array_equal(one[0], two[1])
    assert one[0] is not None


def test_split_puts_the_loaders_transforms_first_and_keeps_the_order():
    from monai.transforms.intensity.array import RandGaussianNoise

    foreign = MonaiTransform(RandGaussianNoise())
    ours = [Affine(), Mirror()]
    assert split([ours[0], foreign, ours[1]]) == ([foreign], ours)
    with pytest.raises(TypeError, match="neither"):
        split([len])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("patch", "spacing", "expected"),
    [
        ((40, 56, 40), None, (30.0, None)),
        ((16, 64, 64), None, (180.0, (1, 2))),
        ((160, 160, 40), (0.8, 0.8, 5.0), (180.0, (0, 1))),
        ((64, 64, 30), (0.8, 0.8, 5.0), (30.0, None)),
        ((256, 256), None, (180.0, None)),
        ((300, 128), None, (15.0, None)),
    ],
)
def test_rotation_follows_the_shape_of_the_patch(patch, spacing, expected):
    assert rotation_rule(patch, spacing) == expected
