from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from medseg.data.feed.augment import Affine
from medseg.data.feed.augment.affine import sampling_matrix
from medseg.data.feed.augment.warp import Warp
from medseg.errors import InputError


def smooth(shape, seed=0):
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, 1.5).astype(np.float32)


def blobs(shape, seed=1):
    return (np.digitize(smooth(shape, seed), [-0.02, 0.03])).astype(np.uint8)


def drawn(shape, seed, **options):
    options = {"rotation": 40, "shear": 0.2, "translation": 2, **options}
    affine = Affine(p_rotation=1, p_scale=1, p_shear=1, p_translation=1, **options)
    (matrix,) = affine.make_params([seed], (1, *shape))
    return affine, matrix


def inner(shape, margin=1):
    return tuple(slice(margin, n - margin) for n in shape)


@pytest.mark.parametrize("shape", [(17, 12, 14), (21, 16)])
@pytest.mark.parametrize("seed", range(3))
def test_it_samples_as_scipy_does(shape, seed):
    affine, matrix = drawn(shape, seed)
    image, label = smooth(shape), blobs(shape)
    ours, ours_label = affine.apply(
        torch.from_numpy(image)[None, None], torch.from_numpy(label)[None, None], [matrix]
    )
    centre = (np.array(shape) - 1) / 2
    linear, shift = matrix[:, :-1], matrix[:, -1]
    offset = centre - linear @ centre + shift
    # grid_sample fades out over the outermost voxel where SciPy cuts: compare what lies inside.
    coordinates = np.einsum("ij,j...->i...", linear, np.indices(shape)) + offset.reshape(
        -1, *[1] * len(shape)
    )
    limit = np.array(shape).reshape(-1, *[1] * len(shape)) - 1
    inside = np.all((coordinates > 0) & (coordinates < limit), axis=0)
    assert inside.mean() > 0.2
    expected = ndimage.affine_transform(image, linear, offset, order=1)
    np.testing.assert_allclose(ours[0, 0].numpy()[inside], expected[inside], atol=2e-5)
    shares = np.stack(
        [ndimage.affine_transform(1.0 * (label == c), linear, offset, order=1) for c in range(3)]
    )
    clear = inside & (np.diff(np.sort(shares, 0)[-2:], axis=0)[0] > 1e-4)
    np.testing.assert_array_equal(ours_label[0, 0].numpy()[clear], shares.argmax(0)[clear])


@pytest.mark.parametrize("shape", [(15, 12, 10), (18, 13)])
def test_it_is_monais_affine_for_the_same_matrix(shape):
    from monai.transforms.spatial.array import Affine as MonaiAffine

    affine, matrix = drawn(shape, 5)
    image = torch.from_numpy(smooth(shape))[None]
    square = np.eye(len(shape) + 1)
    square[:-1] = matrix
    reference = MonaiAffine(affine=square, padding_mode="zeros", image_only=True)
    ours, _ = affine.apply(image[None], None, [matrix])
    expected = reference(image, mode="bilinear")
    np.testing.assert_allclose(ours[0].numpy(), np.asarray(expected), atol=1e-5)
    label = torch.from_numpy(blobs(shape))[None]
    _, ours_label = affine.apply(image[None], label[None], [matrix])
    masks = torch.cat([(label == c).float() for c in range(3)])
    shares = np.asarray(reference(masks, mode="bilinear"))
    shares[0] += 1 - shares.sum(0)  # What lies outside is background.
    clear = np.diff(np.sort(shares, 0)[-2:], axis=0)[0] > 1e-4
    np.testing.assert_array_equal(ours_label[0, 0].numpy()[clear], shares.argmax(0)[clear])


def test_a_quarter_turn_is_rot90():
    matrix = sampling_matrix(np.array([[0.0, -1.0], [1.0, 0.0]]), np.zeros(2), (1, 1))
    image = torch.from_numpy(smooth((9, 9)))[None, None]
    label = torch.from_numpy(blobs((9, 9)))[None, None]
    turned, turned_label = Affine().apply(image, label, [matrix])
    torch.testing.assert_close(turned, image.rot90(1, (2, 3)), atol=1e-5, rtol=0)
    assert torch.equal(turned_label, label.rot90(1, (2, 3)))


def test_a_ball_in_millimetres_stays_a_ball_when_turned():
    spacing = (1.0, 1.0, 2.0)
    shape = (33, 33, 17)
    indices = np.indices(shape) - (np.array(shape).reshape(3, 1, 1, 1) - 1) / 2
    distance = np.linalg.norm(indices * np.array(spacing).reshape(3, 1, 1, 1), axis=0)
    ball = torch.from_numpy(np.exp(-0.5 * (distance / 4) ** 2).astype(np.float32))[None, None]

    def largest_change(given):
        affine = Affine(rotation=45, p_rotation=1, p_scale=0, spacing=given)
        params = affine.make_params(range(5), (1, *shape))
        turned, _ = affine.apply(ball.expand(5, -1, -1, -1, -1), None, params)
        return (turned - ball).abs().amax((1, 2, 3, 4))

    assert largest_change(spacing).max() < 0.04
    assert largest_change(None).max() > 0.15


def test_a_scale_above_one_magnifies():
    label = torch.zeros(1, 1, 20, 20, 20, dtype=torch.uint8)
    label[..., 7:13, 7:13, 7:13] = 1
    affine = Affine(p_rotation=0, p_scale=1, scale=(1.4, 1.4))
    _, bigger = affine.apply(label.float(), label, affine.make_params([0], (1, 20, 20, 20)))
    assert bigger.sum() / label.sum() == pytest.approx(1.4**3, rel=0.5)
    assert bigger.sum() > 2 * label.sum()


def test_axes_left_out_are_not_touched():
    label = torch.from_numpy(blobs((12, 14, 5)))[None, None]
    affine = Affine(rotation=180, p_rotation=1, p_scale=1, axes=(0, 1))
    (matrix,) = affine.make_params([3], (1, 12, 14, 5))
    np.testing.assert_array_equal(matrix[2], [0, 0, 1, 0])
    np.testing.assert_array_equal(matrix[:2, 2], 0)
    _, turned = affine.apply(label.float(), label, [matrix])
    for k in range(5):
        _, alone = affine.apply(label[..., [k]].float(), label[..., [k]], [matrix])
        assert torch.equal(alone, turned[..., [k]])


@pytest.mark.parametrize("shape", [(14, 9, 11), (16, 13)])
def test_labels_never_get_new_values(shape):
    label = torch.from_numpy(blobs(shape) * 100)[None, None]
    for seed in range(10):
        affine, matrix = drawn(shape, seed)
        _, moved = affine.apply(label.float(), label, [matrix])
        assert set(moved.unique().tolist()) <= {0, 100, 200}
        assert moved.dtype == torch.uint8


def test_samples_without_a_matrix_stay_as_they_are_and_the_input_too():
    image = torch.from_numpy(smooth((2, 1, 8, 8, 8)))
    before = image.clone()
    affine, matrix = drawn((8, 8, 8), 0)
    moved, _ = affine.apply(image, None, [None, matrix])
    assert torch.equal(image, before)
    assert torch.equal(moved[0], image[0])
    assert not torch.equal(moved[1], image[1])
    assert affine.apply(image, None, [None, None])[0] is image


def test_a_scale_alone_equals_the_general_way():
    affine = Affine(p_rotation=0, p_scale=1, p_translation=1, translation=3, isotropic=False)
    image = torch.from_numpy(smooth((13, 18, 15)))[None, None]
    label = torch.from_numpy(blobs((13, 18, 15)))[None, None]
    for matrix in affine.make_params(range(6), (1, 13, 18, 15)):
        assert Warp(matrix).separable
        general = matrix.copy()
        general[0, 1] = 1e-9  # Too little to move anything, enough for the other way.
        assert not Warp(general).separable
        ours, ours_label = affine.apply(image, label, [matrix])
        other, other_label = affine.apply(image, label, [general])
        torch.testing.assert_close(ours, other, atol=2e-5, rtol=0)
        assert (ours_label != other_label).float().mean() < 0.002
    assert len({round(v, 6) for v in np.diag(matrix[:, :-1])}) == 3


def test_a_large_volume_is_placed_to_a_thousandth_of_a_voxel():
    shape = (30, 80, 80)
    ramps = torch.from_numpy(np.indices(shape).astype(np.float32))
    affine, matrix = drawn(shape, 2, rotation=10, shear=0, translation=0)
    moved, _ = affine.apply(ramps[None], None, [matrix])
    centre = (np.array(shape) - 1) / 2
    offset = centre - matrix[:, :-1] @ centre + matrix[:, -1]
    where = np.einsum("ij,j...->i...", matrix[:, :-1], np.indices(shape)) + offset.reshape(
        3, 1, 1, 1
    )
    limit = np.array(shape).reshape(3, 1, 1, 1) - 1
    inside = np.all((where > 0) & (where < limit), axis=0)
    np.testing.assert_allclose(moved[0].numpy()[:, inside], where[:, inside], atol=1e-3)


def test_probabilities_are_kept():
    affine = Affine()
    drawn_at_all = [p is not None for p in affine.make_params(range(2000), (1, 8, 8, 8))]
    assert np.mean(drawn_at_all) == pytest.approx(1 - 0.8 * 0.8, abs=0.03)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": (1.4, 0.7)}, "scale"),
        ({"scale": (0, 1)}, "scale"),
        ({"p_rotation": 1.5}, "p_rotation"),
        ({"spacing": (1, 0, 1)}, "spacing"),
        ({"shear": 0.6}, "shear"),
    ],
)
def test_impossible_arguments_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Affine(**options)


def test_axes_and_spacing_must_fit_the_image():
    with pytest.raises(InputError, match="do not fit"):
        Affine(spacing=(1, 1, 1)).make_params([0], (1, 8, 8))
    with pytest.raises(InputError, match="do not fit"):
        Affine(axes=(1, 2)).make_params([0], (1, 8, 8))
