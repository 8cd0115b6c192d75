from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from medseg.data.feed import Batch
from medseg.data.feed.augment import (
    Affine,
    Compose,
    Elastic,
    Gamma,
    GaussianNoise,
    Mirror,
    default,
)
from medseg.data.feed.batch import Wide

PATCH = (14, 12, 16)
START = (9, 10, 8)


def whole_case():
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.normal(size=(2, 34, 33, 35)), (0, 1, 1, 1))
    label = np.digitize(ndimage.gaussian_filter(image[0], 2), [-0.02, 0.03])
    return torch.from_numpy(image.astype(np.float32)), torch.from_numpy(label.astype(np.uint8))[
        None
    ]


def cut(array, start, size):
    for axis, (s, n) in enumerate(zip(start, size, strict=True)):
        array = array.narrow(axis + 1, s, n)
    return array


def batch_of(seeds, *, wide):
    image, label = whole_case()
    patch, mask = cut(image, START, PATCH), cut(label, START, PATCH)
    compose = Compose(spatial())
    regions = []
    for seed in seeds:
        wanted = compose.margin(seed, (2, *PATCH)) if wide else None
        if wanted is None:
            regions.append(None)
            continue
        first = [s - low for s, (low, _) in zip(START, wanted, strict=True)]
        size = [n + low + high for n, (low, high) in zip(PATCH, wanted, strict=True)]
        begin = tuple(low for low, _ in wanted)
        regions.append(Wide(cut(image, first, size), cut(label, first, size), begin))
    count = len(seeds)
    return Batch(
        torch.stack([patch] * count),
        torch.stack([mask] * count),
        torch.tensor(seeds),
        ["a"] * count,
        regions,
    )


def spatial():
    return [
        Affine(rotation=20, scale=(0.8, 1.25), p_rotation=0.5, p_scale=0.5),
        Elastic(p=0.5, displacement=(0, 2), control_spacing=8),
    ]


def test_with_its_surroundings_a_patch_is_a_patch_of_the_deformed_case():
    image, label = whole_case()
    seeds = list(range(12))
    batch = batch_of(seeds, wide=True)
    assert any(w is None for w in batch.wide)
    out = Compose(spatial())(batch)
    assert out.wide is None
    compose = Compose(spatial())
    far = [Wide(image, label, START)] * len(seeds)
    params = compose.make_params(seeds, (2, *PATCH))
    expected, expected_label = compose.apply(batch.image, batch.label, params, far)
    torch.testing.assert_close(out.image, expected, atol=1e-4, rtol=0)
    assert (out.label != expected_label).float().mean() < 1e-3
    alone = Compose(spatial())(batch_of(seeds, wide=False))
    assert not torch.equal(alone.image, out.image)
    inside = cut(image, START, PATCH).abs()
    assert (out.image.abs().amax() <= image.abs().amax()) and inside.numel()


def test_surroundings_are_not_changed():
    batch = batch_of(range(8), wide=True)
    before = [w and w.image.clone() for w in batch.wide]
    Compose([*spatial(), GaussianNoise(p=1), Gamma(p=1), Mirror()])(batch)
    for one, region in zip(before, batch.wide, strict=True):
        assert one is None or torch.equal(one, region.image)


def test_margin_is_asked_for_by_deformations_at_the_head_only():
    shape = (1, 20, 20, 20)
    assert Compose([]).margin(0, shape) is None
    assert Compose([Gamma(), Affine(p_rotation=1)]).margin(0, shape) is None
    assert Compose([Mirror(p=1)]).margin(0, shape) is None
    assert Compose([Affine(p_rotation=0, p_scale=0)]).margin(0, shape) is None
    assert Compose([Affine(p_rotation=0, p_scale=1, scale=(1.2, 1.4))]).margin(0, shape) is None
    wanted = Compose([Affine(p_rotation=1, rotation=45, scale=(0.3, 0.4))]).margin(0, shape)
    assert wanted is not None
    assert all(0 < n <= 10 for pair in wanted for n in pair)
    some = [Compose(default((20, 20, 20))).margin(seed, shape) for seed in range(400)]
    assert 0.2 < np.mean([w is not None for w in some]) < 0.36


def test_margin_knows_what_make_params_will_draw():
    compose = Compose([Affine(p_rotation=0, p_scale=0, translation=6, p_translation=1), Gamma(p=1)])
    shape = (1, 20, 20, 20)
    for seed in range(5):
        (params,) = compose.make_params([seed], shape)
        wanted = compose.margin(seed, shape)
        for shift, (low, high) in zip(params[0][:, -1], wanted, strict=True):
            assert (low, high) == (max(0, int(np.ceil(-shift))), max(0, int(np.ceil(shift))))


def test_zeros_of_masked_channels_stay_zero():
    image = torch.rand(1, 2, 10, 10, 10) + 1
    image[:, :, :3] = 0
    batch = Batch(image, None, torch.tensor([1]), ["a"])
    noisy = [GaussianNoise(p=1, std=(0.5, 0.5)), Gamma(p=1, invert=True)]
    out = Compose(noisy, masked=[1])(batch).image
    assert not out[0, 1, :3].any()
    assert (out[0, 1, 3:] != 0).all()
    assert out[0, 0, :3].all()
    assert torch.equal(out[0, 0], Compose(noisy)(batch).image[0, 0])


def test_labels_place_boundaries_better_than_the_nearest_voxel():
    shape = (32, 32, 32)
    affine = Affine(p_rotation=1, p_scale=1)
    wrong = {"votes": 0, "nearest": 0}
    for seed, matrix in enumerate(affine.make_params(range(4), (1, *shape))):
        waves = np.random.default_rng(seed).normal(size=(5, 3)) * 0.25
        centre = np.full(3, 15.5).reshape(3, 1, 1, 1)
        voxels = np.indices(shape) - centre
        where = np.einsum("ij,j...->i...", matrix[:, :-1], voxels)

        def inside(points, waves=waves):
            return np.cos(np.einsum("wi,i...->w...", waves, points)).sum(0) > 1

        seen = np.all(np.abs(where) < 15, axis=0)
        label = torch.from_numpy(inside(voxels).astype(np.uint8))[None, None]
        _, votes = affine.apply(label.float(), label, [matrix])
        nearest = ndimage.map_coordinates(label[0, 0].numpy(), where + centre, order=0)
        for name, one in (("votes", votes[0, 0].numpy()), ("nearest", nearest)):
            wrong[name] += ((one != inside(where)) & seen).sum()
    assert wrong["votes"] < 0.75 * wrong["nearest"]
