from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from medseg.data.feed.augment import (
    Brightness,
    Contrast,
    Gamma,
    GaussianBlur,
    GaussianNoise,
    LowResolution,
)
from medseg.data.feed.augment.blur import blur
from medseg.data.feed.augment.draws import factors
from medseg.errors import InputError


def image_of(*shape, seed=0):
    values = np.random.default_rng(seed).normal(2, 3, shape).astype(np.float32)
    return torch.from_numpy(values)


def test_brightness_multiplies_each_channel():
    image = image_of(2, 3, 4, 5)
    factors = np.array([0.8, 1.2, 1.0])
    out, _ = Brightness().apply(image, None, [None, factors])
    assert torch.equal(out[0], image[0])
    expected = image[1].numpy() * factors[:, None, None]
    np.testing.assert_allclose(out[1].numpy(), expected, rtol=1e-6)


def test_contrast_spreads_about_the_mean_inside_the_extremes():
    image = image_of(1, 2, 6, 5, 4)
    factors = np.array([0.75, 1.25])
    out, _ = Contrast().apply(image, None, [factors])
    for channel, factor in enumerate(factors):
        x = image[0, channel].numpy().astype(np.float64)
        expected = np.clip((x - x.mean()) * factor + x.mean(), x.min(), x.max())
        np.testing.assert_allclose(out[0, channel].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("invert", [False, True])
def test_gamma_follows_its_formula_and_keeps_the_statistics(invert):
    x = image_of(1, 1, 7, 6, 5)
    out, _ = Gamma(invert=invert).apply(x, None, [np.array([1.4])])
    source = x[0, 0].numpy().astype(np.float64) * (-1 if invert else 1)
    span = source.max() - source.min()
    bent = ((source - source.min()) / span) ** 1.4 * span + source.min()
    bent = (bent - bent.mean()) / bent.std() * source.std() + source.mean()
    np.testing.assert_allclose(out[0, 0].numpy(), bent * (-1 if invert else 1), atol=1e-4)


def test_gamma_without_statistics_is_monais_adjust_contrast():
    from monai.transforms.intensity.array import AdjustContrast

    x = image_of(1, 1, 7, 6, 5)
    out, _ = Gamma(keep_statistics=False).apply(x, None, [np.array([0.7])])
    expected = AdjustContrast(gamma=0.7)(x[0])
    np.testing.assert_allclose(out[0].numpy(), np.asarray(expected), atol=1e-5)


def test_gamma_of_a_constant_channel_is_that_channel():
    x = torch.full((1, 1, 4, 4, 4), 3.0)
    out, _ = Gamma().apply(x, None, [np.array([1.5])])
    torch.testing.assert_close(out, x)


def test_noise_has_the_drawn_strength_and_is_repeatable():
    noise = GaussianNoise(p=1, std=(0.5, 0.5))
    x = torch.zeros(1, 1, 40, 40, 40)
    params = noise.make_params([7], x.shape[1:])
    first, _ = noise.apply(x, None, params)
    second, _ = noise.apply(x, None, params)
    assert torch.equal(first, second)
    assert first.std().item() == pytest.approx(0.5, rel=0.02)
    assert first.mean().item() == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("sigma", [0.5, 0.8, 1.0])
@pytest.mark.parametrize("shape", [(12, 10, 9), (11, 14), (3, 2, 20)])
def test_blur_is_scipys_gaussian_filter(sigma, shape):
    x = image_of(*shape)
    expected = ndimage.gaussian_filter(
        x.numpy().astype(np.float64), sigma, mode="nearest", truncate=3
    )
    ours = blur(x, (sigma,) * len(shape))
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-5)


def test_blur_has_a_width_for_each_axis():
    x = image_of(70, 40, 40)  # More than one slab.
    expected = ndimage.gaussian_filter(
        x.numpy().astype(np.float64), (1, 0.5, 0.8), mode="nearest", truncate=3
    )
    np.testing.assert_allclose(blur(x, (1, 0.5, 0.8)).numpy(), expected, atol=1e-5)


def test_blur_leaves_the_other_channels():
    x = image_of(1, 2, 8, 8, 8)
    out, _ = GaussianBlur().apply(x, None, [{1: (0.7, 0.5, 1.0)}])
    assert torch.equal(out[0, 0], x[0, 0])
    assert torch.equal(out[0, 1], blur(x[0, 1], (0.7, 0.5, 1.0)))


def test_low_resolution_repeats_what_a_coarse_scan_saw():
    ramp = torch.arange(16.0).expand(1, 1, 4, 16).contiguous()
    out, _ = LowResolution(axes=(1,)).apply(ramp, None, [{0: 0.5}])
    # Nearest voxels 1, 3, … 15 stand for pairs; interpolated back to sixteen.
    expected = np.interp((np.arange(16) + 0.5) / 2 - 0.5, range(8), np.arange(1, 16, 2))
    np.testing.assert_allclose(out[0, 0, 0].numpy(), expected, atol=1e-5)
    assert torch.equal(out[0, 0, 0], out[0, 0, 3])


@pytest.mark.parametrize("axes", [None, (1, 2)])
@pytest.mark.parametrize("zoom", [0.5, 0.63, 0.97])
def test_low_resolution_is_nearest_then_trilinear_interpolation(zoom, axes):
    x = image_of(1, 1, 13, 20, 17)
    sizes = [round(n * zoom) if axes is None or a in axes else n for a, n in enumerate(x.shape[2:])]
    coarse = torch.nn.functional.interpolate(x, size=sizes, mode="nearest-exact")
    expected = torch.nn.functional.interpolate(coarse, size=x.shape[2:], mode="trilinear")
    out, _ = LowResolution(axes=axes).apply(x, None, [{0: zoom}])
    # Neighbours are up to 20 apart, and places are rounded to a millionth of a voxel.
    torch.testing.assert_close(out, expected, atol=5e-5, rtol=0)


def test_low_resolution_of_a_constant_is_that_constant():
    x = torch.full((1, 2, 9, 7, 5), 4.0)
    out, _ = LowResolution().apply(x, None, [{0: 0.55, 1: 0.9}])
    torch.testing.assert_close(out, x)


def test_factors_are_as_often_above_one_as_below_and_never_beyond_the_range():
    drawn = factors(np.random.default_rng(0), (0.7, 1.5), 4000)
    assert 0.7 <= drawn.min() < 0.71
    assert 1.49 < drawn.max() <= 1.5
    assert np.mean(drawn < 1) == pytest.approx(0.5, abs=0.03)
    assert factors(np.random.default_rng(0), (1.2, 1.2), 2).tolist() == [1.2, 1.2]


@pytest.mark.parametrize("kind", [Brightness, Contrast, Gamma, GaussianNoise])
def test_p_is_the_probability_of_a_sample(kind):
    draws = kind(p=0.25).make_params(range(2000), (2, 4, 4, 4))
    assert np.mean([d is not None for d in draws]) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("kind", [GaussianBlur, LowResolution])
def test_p_channel_is_the_probability_of_a_channel(kind):
    draws = kind(p=0.5, p_channel=0.5).make_params(range(2000), (1, 4, 4, 4))
    assert np.mean([d is not None for d in draws]) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Brightness, {"factor": (0, 1)}),
        (Contrast, {"factor": 0.5}),
        (Gamma, {"gamma": (1.5, 0.7)}),
        (GaussianNoise, {"p": -0.1}),
        (GaussianBlur, {"sigma": (0, 1)}),
        (LowResolution, {"p_channel": 2}),
    ],
)
def test_impossible_arguments_are_refused(kind, options):
    with pytest.raises(InputError, match=next(iter(options))):
        kind(**options)
