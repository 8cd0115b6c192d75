from medseg.data.feed.augment.affine import Affine
from medseg.data.feed.augment.defaults import default, light
from medseg.data.feed.augment.mirror import Mirror


def test_the_light_set_never_mirrors_and_turns_by_fifteen_degrees_at_most():
    transforms = light((40, 56, 40))
    assert not any(isinstance(t, Mirror) for t in transforms)
    (affine,) = [t for t in transforms if isinstance(t, Affine)]
    assert affine.rotation == 15.0


def test_the_light_set_turns_thick_slices_in_plane_only():
    (affine,) = [t for t in light((8, 64, 64), spacing=(5, 1, 1)) if isinstance(t, Affine)]
    assert affine.axes == (1, 2)


def test_the_default_set_has_nnunets_probabilities_and_ranges():
    affine, mirror, noise, blur, brightness, contrast, low, inverted, gamma = default((96, 96, 96))
    assert (affine.rotation, affine.p_rotation, affine.axes) == (30.0, 0.2, None)
    assert (affine.scale, affine.p_scale, affine.isotropic) == ((0.7, 1.4), 0.2, True)
    assert (affine.shear, affine.translation) == (0, 0)
    assert (noise.p, noise.std) == (0.1, (0.0, 0.1))
    assert (blur.p, blur.sigma, blur.p_channel) == (0.2, (0.5, 1.0), 0.5)
    assert (brightness.p, brightness.factor) == (0.15, (0.75, 1.25))
    assert (contrast.p, contrast.factor) == (0.15, (0.75, 1.25))
    assert (low.p, low.zoom, low.p_channel, low.axes) == (0.25, (0.5, 1.0), 0.5, None)
    assert (inverted.p, inverted.gamma, inverted.invert) == (0.1, (0.7, 1.5), True)
    assert (gamma.p, gamma.gamma, gamma.invert) == (0.3, (0.7, 1.5), False)
    assert inverted.keep_statistics
    assert gamma.keep_statistics
    assert (mirror.p, mirror.axes) == (0.5, None)


def test_thick_slices_lose_resolution_in_plane_only():
    affine, *_, low, _, _ = default((16, 96, 96), spacing=(5, 1, 1))
    assert (affine.rotation, affine.axes, low.axes) == (180.0, (1, 2), (1, 2))
