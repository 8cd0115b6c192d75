import numpy as np
import pytest

from medseg.inference.postprocess import masks

SHAPES = [(40, 50), (24, 20, 22)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_the_largest_component_is_monais(random_mask, shape, seed):
    from monai.transforms import KeepLargestConnectedComponent

    mask = random_mask(seed, shape)
    kept = masks.largest_component(mask)
    theirs = KeepLargestConnectedComponent(applied_labels=[1])(mask[None].astype(np.uint8))
    assert 0 < kept.sum() < mask.sum()
    assert np.array_equal(kept, np.asarray(theirs)[0] > 0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("connected", ["holes", "none"])
def test_holes_are_filled_as_monai_fills_them(random_mask, shape, connected):
    from monai.transforms.utils import fill_holes

    mask = random_mask(0, shape, share=0.75 if connected == "holes" else 0.1)
    theirs = fill_holes(mask[None].astype(np.uint8), connectivity=1)[0] > 0
    filled = masks.fill_holes(mask)
    assert np.array_equal(filled, theirs)
    assert (filled.sum() > mask.sum()) == (connected == "holes")


@pytest.mark.parametrize("shape", SHAPES)
def test_small_components_go_by_their_volume(random_mask, shape):
    from skimage.measure import label, regionprops

    spacing = (0.5, 0.8, 3.0)[: len(shape)]
    mask, voxel = random_mask(1, shape), np.prod(spacing)
    numbers = label(mask)  # full connectivity
    expected = np.zeros_like(mask)
    for found in regionprops(numbers):
        if found.num_pixels * voxel >= 20:
            expected[numbers == found.label] = True
    kept = masks.remove_small(mask, min_size=20, spacing=spacing)
    assert 0 < kept.sum() < mask.sum()
    assert np.array_equal(kept, expected)


def test_what_touches_by_a_corner_is_one_component():
    mask = np.zeros((6, 6, 6), bool)
    mask[:2, :2, :2] = mask[2:4, 2:4, 2:4] = mask[5, 0, 0] = True
    assert masks.largest_component(mask).sum() == 16
    assert masks.components(mask)[1].tolist() == [16, 1]


def test_a_gap_around_a_corner_does_not_open_a_hole():
    ring = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], bool)
    assert masks.fill_holes(ring)[1, 1]
    assert not masks.fill_holes(ring & (np.indices((3, 3))[0] != 0))[1, 1]


def test_a_cavity_is_filled_and_a_tunnel_is_not():
    mask = np.ones((5, 5, 5), bool)
    mask[2, 2, 2] = False
    assert masks.fill_holes(mask).all()
    mask[2, 2] = False
    assert np.array_equal(masks.fill_holes(mask), mask)


@pytest.mark.parametrize(("size", "stays"), [(0, True), (24.0, True), (24.1, False)])
def test_a_component_of_just_the_size_stays(size, stays):
    mask = np.zeros((5, 5), bool)
    mask[1:3, 1:4] = True
    assert masks.remove_small(mask, min_size=size, spacing=(2.0, 2.0)).any() == stays


def test_sizes_survive_spacings_that_are_no_round_numbers():
    mask = np.zeros((9, 9, 9), bool)
    mask[:3, :3, :3] = True
    spacing = (0.1, 0.1, 0.1)
    assert masks.remove_small(mask, min_size=0.027, spacing=spacing).any()


@pytest.mark.parametrize("step", [masks.largest_component, masks.fill_holes])
def test_an_empty_mask_stays_empty(step):
    assert not step(np.zeros((4, 5), bool)).any()
    assert masks.box_of(np.zeros((0, 5), bool)) is None


def test_the_box_holds_the_mask_and_no_more(random_mask):
    mask = np.zeros((20, 30, 10), bool)
    mask[4, 7:20, 3] = mask[9, 8, 6] = True
    assert masks.box_of(mask) == (slice(4, 10), slice(7, 20), slice(3, 7))
