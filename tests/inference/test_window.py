from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from medseg.inference.window import SlidingWindow, importance, window_starts


def identity(image):
    return image


def small_conv(dims: int) -> nn.Module:
    torch.manual_seed(0)
    kind = nn.Conv3d if dims == 3 else nn.Conv2d
    return kind(2, 3, 3, padding=1).requires_grad_(False)


@pytest.mark.parametrize("size", [(20, 9, 31), (8, 8, 8), (5, 30, 8), (3, 4, 5), (9, 8, 8)])
@pytest.mark.parametrize("mode", ["gaussian", "constant"])
def test_an_identity_network_gives_the_image_back(size, mode):
    image = torch.randn(2, 1, *size)
    out = SlidingWindow((8, 8, 8), mode=mode, batch_size=3)(identity, image)
    assert out.shape == image.shape
    assert torch.allclose(out, image, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "patch", "overlap"),
    [
        ((20, 9, 31), (8, 8, 8), 0.5),
        ((5, 30, 8), (8, 12, 8), 0.25),
        ((17, 23, 11), (7, 9, 11), 0.7),
        ((30, 21), (16, 8), 0.5),
        ((13, 40), (16, 9), 0.0),
        ((3, 4), (16, 16), 0.5),
    ],
)
@pytest.mark.parametrize("mode", ["gaussian", "constant"])
def test_logits_equal_those_of_monai(size, patch, overlap, mode):
    from monai.inferers import sliding_window_inference

    image = torch.randn(2, 2, *size)
    network = small_conv(len(size))
    ours = SlidingWindow(patch, overlap=overlap, mode=mode, batch_size=3)(network, image)
    theirs = sliding_window_inference(image, patch, 3, network, overlap=overlap, mode=mode)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_weights_are_a_gaussian_of_an_eighth_of_the_size():
    weight = importance((16, 8), "gaussian")
    assert weight[8, 4] / weight[8, 3] == pytest.approx(1)
    drop = torch.log(weight[8, 4] / weight[10, 4]).item()
    assert drop == pytest.approx((2.5**2 - 0.5**2) / (2 * 2**2), rel=1e-5)
    assert weight.min() >= 1e-3


def test_the_last_window_ends_with_the_image():
    assert window_starts((10,), (4,), 0.5) == [(0,), (2,), (4,), (6,)]
    assert window_starts((11,), (4,), 0.5) == [(0,), (2,), (4,), (6,), (7,)]
    assert window_starts((4,), (4,), 0.5) == [(0,)]
    assert window_starts((6,), (1,), 0.9) == [(i,) for i in range(6)]


@pytest.mark.parametrize("size", [(6, 6, 6), (11, 6, 9)])
def test_mirroring_averages_logits_over_every_combination_of_flips(size):
    image = torch.randn(1, 2, *size)
    network = small_conv(3)
    flips = [(), (2,), (4,), (2, 4)]
    whole = SlidingWindow((6, 6, 6))
    expected = sum(whole(lambda x, f=f: network(x.flip(f)).flip(f), image) for f in flips) / 4
    ours = SlidingWindow((6, 6, 6), mirror_axes=(0, 2))(network, image)
    assert torch.allclose(ours, expected, atol=1e-5)


def test_mirroring_leaves_an_equivariant_network_alone():
    image = torch.randn(1, 1, 9, 7)
    ours = SlidingWindow((6, 6), mirror_axes=(0, 1))(torch.sin, image)
    assert torch.allclose(ours, torch.sin(image), atol=1e-5)


def test_the_network_sees_whole_patches_only():
    seen = set()

    def watch(batch):
        seen.add(tuple(batch.shape[1:]))
        assert len(batch) <= 2
        return batch

    SlidingWindow((4, 6, 8), batch_size=2)(watch, torch.zeros(1, 1, 3, 20, 9))
    assert seen == {(1, 4, 6, 8)}


def test_of_several_heads_the_first_counts():
    image = torch.randn(1, 1, 5, 5, 5)
    out = SlidingWindow((4, 4, 4))(lambda x: [x, x[..., ::2, ::2, ::2]], image)
    assert torch.allclose(out, image, atol=1e-5)


def test_half_precision_logits_are_gathered_in_float32():
    out = SlidingWindow((4, 4))(lambda x: x.to(torch.bfloat16), torch.ones(1, 1, 9, 9))
    assert out.dtype == torch.float32


def test_an_image_of_other_dimensions_is_refused():
    with pytest.raises(ValueError, match="3D patch"):
        SlidingWindow((4, 4, 4))(identity, torch.zeros(1, 1, 8, 8))


def test_a_network_that_shrinks_images_is_refused():
    with pytest.raises(ValueError, match="shape of the image"):
        SlidingWindow((4, 4))(lambda x: x[..., ::2, ::2], torch.zeros(1, 1, 9, 9))


@pytest.mark.parametrize(
    "wrong", [{"overlap": 1.0}, {"mode": "box"}, {"batch_size": 0}, {"mirror_axes": (2,)}]
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError):
        SlidingWindow((4, 4), **wrong)


def test_monai_is_not_imported():
    code = (
        "import sys, torch; from medseg.inference.window import SlidingWindow; "
        "from medseg.inference import Predictor; "
        "SlidingWindow((4, 4))(torch.sin, torch.zeros(1, 1, 9, 9)); "
        "assert not {'monai', 'SimpleITK', 'torchio', 'pytorch_lightning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class Middle(torch.nn.Module):
    """Looks two and one voxels beyond what it segments: the sum over that neighbourhood."""

    input_context = (2, 1)

    def forward(self, x):
        return torch.nn.functional.conv2d(x, torch.ones(1, 1, 5, 3))


@pytest.mark.parametrize("size", [(8, 6), (17, 9), (5, 20), (3, 2)])
@pytest.mark.parametrize("mirror_axes", [(), (0, 1)])
def test_a_network_is_handed_what_lies_around_its_windows(size, mirror_axes):
    image = torch.randn(2, 1, *size)
    window = SlidingWindow((8, 6), batch_size=3, mirror_axes=mirror_axes)
    expected = torch.nn.functional.conv2d(image, torch.ones(1, 1, 5, 3), padding=(2, 1))
    assert torch.allclose(window(Middle(), image), expected, atol=1e-5)


def test_a_network_that_does_not_say_how_far_it_looks_is_refused():
    silent = Middle().forward
    with pytest.raises(ValueError, match="must have the shape of the image"):
        SlidingWindow((8, 6))(silent, torch.zeros(1, 1, 9, 9))


@pytest.mark.parametrize("size", [(8, 8), (5, 8)])
def test_images_of_one_window_run_in_batches_of_windows(size):
    batches = []

    def network(image):
        batches.append(len(image))
        return image

    image = torch.randn(7, 1, *size)
    assert torch.equal(SlidingWindow((8, 8), batch_size=3)(network, image), image)
    assert batches == [3, 3, 1]
