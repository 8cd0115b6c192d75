from medseg.data.feed.augment.affine import Affine
from medseg.data.feed.augment.defaults import light
from medseg.data.feed.augment.mirror import Mirror


def test_the_light_set_never_mirrors_and_turns_by_fifteen_degrees_at_most():
    transforms = light((40, 56, 40))
    assert not any(isinstance(t, Mirror) for t in transforms)
    (affine,) = [t for t in transforms if isinstance(t, Affine)]
    assert affine.rotation == 15.0


def test_the_light_set_turns_thick_slices_in_plane_only():
    (affine,) = [t for t in light((8, 64, 64), spacing=(5, 1, 1)) if isinstance(t, Affine)]
    assert affine.axes == (1, 2)
