from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from medseg.data.feed import MemoryCase, PatchDataset, Sample
from medseg.data.feed.augment import Affine, LoaderTransform
from medseg.data.feed.augment.guard import private_randomness
from medseg.data.feed.augment.monai_adapter import MonaiTransform
from medseg.data.feed.augment.registry import BUILTIN, create
from medseg.errors import InputError


def make_sample(*shape, seed=0):
    rng = np.random.default_rng(seed)
    label = (np.indices(shape).sum(0) // 4 % 3).astype(np.uint8) * 2
    image = label + rng.normal(size=(2, *shape)) * 0.1
    return Sample(torch.from_numpy(image.astype(np.float32)), torch.from_numpy(label)[None], 1, "a")


EVERY = [
    ("monai.RandGaussianNoised", {"prob": 1.0}),
    ("monai.RandGaussianNoise", {"prob": 1.0}),
    ("monai.RandBiasFieldd", {"prob": 1.0}),
    ("monai.RandFlipd", {"prob": 0.5}),
    ("monai.RandAffined", {"prob": 1.0, "rotate_range": 0.5, "scale_range": 0.3}),
    ("monai.RandAffined", {"prob": 1.0, "rotate_range": 0.5, "mode": 3}),
    ("monai.RandRotated", {"prob": 1.0, "range_x": 0.5}),
    ("monai.RandZoomd", {"prob": 1.0, "min_zoom": 0.7, "max_zoom": 1.3}),
    ("monai.RandGridDistortiond", {"prob": 1.0}),
    ("monai.RandSimulateLowResolutiond", {"prob": 1.0, "upsample_mode": "nearest"}),
    ("monai.RandCoarseDropoutd", {"prob": 1.0, "holes": 2, "spatial_size": 3}),
    ("torchio.RandomBiasField", {}),
    ("torchio.RandomNoise", {"p": 0.5}),
    ("torchio.RandomGamma", {}),
    ("torchio.RandomAffine", {"degrees": 20}),
    ("torchio.RandomFlip", {"axes": (0, 1)}),
    ("torchio.RandomElasticDeformation", {"num_control_points": 5, "max_displacement": 1}),
    ("torchio.RandomAnisotropy", {"axes": (0, 1)}),
    ("torchio.RandomMotion", {"degrees": 5, "num_transforms": 1}),
    ("torchio.RandomGhosting", {"axes": (0, 1)}),
    ("torchio.RandomSpike", {}),
]


@pytest.mark.parametrize(("name", "arguments"), EVERY)
@pytest.mark.parametrize("shape", [(16, 14, 12), (18, 16)])
def test_foreign_transforms_are_repeatable_and_labels_keep_their_values(name, arguments, shape):
    sample = make_sample(*shape)
    before = sample.image.clone(), sample.label.clone()
    transform = create(name, arguments)
    assert isinstance(transform, LoaderTransform)
    torch.manual_seed(0)
    first = [transform(sample, seed=s) for s in range(4)]
    torch.manual_seed(1)
    np.random.seed(1)
    again = [transform(sample, seed=s) for s in reversed(range(4))][::-1]
    assert torch.equal(sample.image, before[0])
    assert torch.equal(sample.label, before[1])
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.label, b.label)
        assert type(a.image) is torch.Tensor
        assert a.image.dtype == torch.float32
        assert a.label.dtype == torch.uint8
        assert set(a.label.unique().tolist()) <= {0, 2, 4}
    assert len({a.image.numpy().tobytes() for a in first}) > 1


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("monai.RandAffined", {"prob": 1.0, "rotate_range": (0.6, 0.6, 0.6)}),
        ("monai.RandZoomd", {"prob": 1.0, "min_zoom": 1.4, "max_zoom": 1.5}),
        ("monai.RandFlipd", {"prob": 1.0}),
        ("torchio.RandomAffine", {}),
    ],
)
def test_geometry_moves_image_and_label_together(name, arguments):
    transform = create(name, arguments)
    label = torch.zeros(1, 15, 15, 15, dtype=torch.uint8)
    label[:, 3:9, 4:12, 5:9] = 1
    out = transform(Sample(label.float() * 8, label, 0, "a"), seed=4)
    assert not torch.equal(out.label, label)
    bright = out.image > 4
    overlap = 2 * (bright & (out.label == 1)).sum() / (bright.sum() + out.label.sum())
    assert overlap > 0.9


def test_it_is_the_librarys_own_transform_with_that_seed():
    from monai.transforms.intensity.array import RandGaussianNoise

    sample = make_sample(6, 6, 6)
    ours = create("monai.RandGaussianNoise", {"prob": 1.0})(sample, seed=12)
    reference = RandGaussianNoise(prob=1.0).set_random_state(seed=12)(sample.image)
    np.testing.assert_array_equal(ours.image.numpy(), np.asarray(reference))
    assert torch.equal(ours.label, sample.label)


def test_an_instance_made_by_the_user_is_taken_and_watched():
    from monai.transforms import Compose, RandAffined, RandFlipd

    sample = make_sample(12, 12, 12)
    keys = ["image", "label"]
    good = MonaiTransform(
        Compose([RandFlipd(keys, prob=1.0), RandAffined(keys, mode=("bilinear", "nearest"))])
    )
    out = good(sample, seed=0)
    assert set(out.label.unique().tolist()) <= {0, 2, 4}
    bad = MonaiTransform(RandAffined(keys, prob=1.0, rotate_range=1, mode="bilinear"))
    with pytest.raises(InputError, match="label values that were not there"):
        bad(sample, seed=0)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("monai.RandFlip", {"prob": 1.0}, "RandFlipd"),
        ("monai.RandAffined", {"mode": ("bilinear", "bilinear")}, "never interpolated"),
        ("monai.RandAffined", {"keys": ("image", "seg")}, "unknown keys"),
        ("monai.RandGausianNoised", {}, "did you mean 'monai.RandGaussianNoised'"),
        ("monai.RandGaussianNoised", {"probability": 1}, "probability"),
        ("torchio.RandomAffine", {"label_interpolation": "linear"}, "never interpolated"),
        ("torchio.RandomBiasFeild", {}, "did you mean 'torchio.RandomBiasField'"),
        ("torchio.RandomNoise", {"std": "much"}, "cannot be made"),
        ("gama", {}, "did you mean 'gamma'"),
        ("gamma", {"invertt": True}, "invertt"),
        ("monai.Compose.x", {}, "there is no transform"),
        ("my_package.transforms:Mine", {}, "--trust my_package"),
    ],
)
def test_mistakes_are_told(name, arguments, message):
    with pytest.raises(InputError) as caught:
        create(name, arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("monai.CenterSpatialCropd", {"roi_size": 4}, "changes the shape"),
        ("monai.RandSpatialCropSamplesd", {"roi_size": 4, "num_samples": 2}, "several samples"),
        ("torchio.CropOrPad", {"target_shape": 20}, "changes the shape"),
        ("torchio.RemapLabels", {"remapping": {2: 9}}, "not there"),
    ],
)
def test_what_would_spoil_a_batch_is_refused(name, arguments, message):
    transform = create(name, arguments)
    with pytest.raises(InputError, match=message):
        transform(make_sample(8, 8, 8), seed=0)


def test_ours_are_made_by_name_and_get_the_spacing():
    for name, cls in BUILTIN.items():
        assert type(create(name)) is cls
    affine = create("affine", {"rotation": 10}, spacing=(1, 1, 3))
    assert isinstance(affine, Affine)
    assert affine.spacing == (1, 1, 3)
    assert create("affine", {"spacing": (2, 2, 2)}, spacing=(1, 1, 3)).spacing == (2, 2, 2)


def test_a_users_own_class_needs_trust_and_the_right_type(tmp_path, monkeypatch):
    (tmp_path / "own_transforms.py").write_text(
        "from medseg.data.feed.augment import LoaderTransform\n"
        "class Double(LoaderTransform):\n"
        "    def __call__(self, sample, *, seed):\n"
        "        return sample._replace(image=sample.image * 2)\n"
        "class Other: pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    double = create("own_transforms:Double", trust=["own_transforms"])
    sample = make_sample(4, 4)
    assert torch.equal(double(sample, seed=0).image, sample.image * 2)
    with pytest.raises(InputError, match="is not a transform"):
        create("own_transforms:Other", trust=["own_transforms"])
    with pytest.raises(InputError, match="nothing of that name"):
        create("own_transforms:Absent", trust=["own_transforms"])


def test_a_data_set_applies_them_with_a_seed_of_each_item():
    case = MemoryCase("a", np.zeros((1, 8, 8, 8)), np.ones((8, 8, 8), dtype=int))
    transforms = [create("monai.RandGaussianNoised", {"prob": 1.0}), create("torchio.RandomNoise")]
    data = PatchDataset([case], patch_size=(4, 4, 4), batch_size=2, transforms=transforms)
    first = [data[k].image for k in range(3)]
    assert torch.equal(data[1].image, first[1])
    assert not torch.equal(first[0], first[1])


def test_the_global_generators_are_given_back():
    before = random.random, torch.get_rng_state(), np.random.get_state()[1].copy()
    python = random.getstate()
    with private_randomness(3):
        inside = random.random(), float(np.random.rand()), torch.rand(1).item()
    with private_randomness(3):
        assert inside == (random.random(), float(np.random.rand()), torch.rand(1).item())
    assert random.getstate() == python
    assert torch.equal(torch.get_rng_state(), before[1])
    np.testing.assert_array_equal(np.random.get_state()[1], before[2])
