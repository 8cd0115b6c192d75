from __future__ import annotations

import numpy as np
import pytest

from medseg.geometry.ellipsoids import ellipsoid_distance
from medseg.inference.detection.splitting import split


def ellipsoid(shape, centre, radii) -> np.ndarray:
    """Voxels whose centres lie in an ellipsoid; written without the code under test."""
    points = np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in shape), indexing="ij"), axis=-1)
    return (((points - centre) / radii) ** 2).sum(axis=-1) < 1


def box(centre, radii) -> np.ndarray:
    centre, radii = np.asarray(centre, float), np.broadcast_to(radii, len(centre))
    return np.concatenate([centre - radii, centre + radii])


@pytest.mark.parametrize(
    ("shape", "objects"),
    [
        ((48, 64), [((24, 16), 14), ((24, 44), 14)]),
        ((64, 96), [((32, 24), 20), ((32, 54), 10)]),
        ((50, 80), [((25, 14), (20, 12)), ((25, 34), (8, 8)), ((25, 60), (20, 18))]),
        ((30, 24, 44), [((15, 12, 12), 10), ((15, 12, 28), 6)]),
        ((30, 24, 44), [((15, 12, 10), (12, 6, 9)), ((15, 12, 30), (5, 10, 11))]),
    ],
)
def test_touching_ellipsoids_come_apart_where_they_touch(shape, objects):
    truth = np.zeros(shape, dtype=int)
    for number, (centre, radii) in enumerate(objects, start=1):
        truth[ellipsoid(shape, centre, radii)] = number
    corners = np.stack([box(*one) for one in objects])
    assert np.array_equal(split(truth > 0, corners), truth)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(60, 70), (24, 26, 28)])
def test_flooding_is_that_of_scikit_image(seed, shape):
    segmentation = pytest.importorskip("skimage.segmentation")
    rng = np.random.default_rng(seed)
    # Places without a symmetry: where two heights are the same, either way is right.
    centres = rng.uniform(0.25, 0.75, (3, len(shape))) * shape
    radii = rng.uniform(6, 12, (3, len(shape)))
    corners = np.hstack([centres - radii, centres + radii])
    ways = np.stack([ellipsoid_distance(shape, one) for one in corners])
    mask = (ways < 1.7).any(axis=0)
    markers = np.zeros(shape, dtype=int)
    for number, way in enumerate(ways, start=1):
        markers[np.unravel_index(way.argmin(), shape)] = number
    expected = segmentation.watershed(ways.min(axis=0), markers, mask=mask, connectivity=len(shape))
    assert np.array_equal(split(mask, corners), expected)


def test_the_way_leads_through_the_mask():
    # A horseshoe: the ends are near each other, and far along the mask.
    mask = np.zeros((20, 40), dtype=bool)
    mask[4:8], mask[12:16], mask[4:16, 36:] = True, True, True
    corners = np.array([box((6, 30), (4, 8)), box((14, 8), (4, 9))])
    found = split(mask, corners)
    assert set(np.unique(found)) == {0, 1, 2} and ((found > 0) == mask).all()
    # By the nearest centre this end, which hangs on the first box's arm, would be the second's.
    assert (found[4:8, :10] == 1).all()


def test_a_map_of_centres_decides_where_it_is_given():
    mask = np.ones((1, 30), dtype=bool)
    corners = np.array([[0, 0, 1, 10], [0, 20, 1, 30]])
    heat = np.zeros((1, 30))
    heat[0, 4:7] = heat[0, 24:27] = 1
    heat[0, 7:20] = np.linspace(0.9, 0.1, 13)
    heat[0, 20:24] = np.linspace(0.3, 0.8, 4)
    cut = np.flatnonzero(np.diff(split(mask, corners, heat=heat)[0]))
    assert len(cut) == 1 and cut[0] in (18, 19)
    even = np.flatnonzero(np.diff(split(mask, corners)[0]))
    assert even.tolist() == [14]


def test_a_box_without_a_voxel_left_gets_none():
    mask = np.zeros((5, 5), dtype=bool)
    mask[2, 2] = True
    found = split(mask, np.array([[2, 2, 3, 3], [1, 1, 4, 4]]))
    assert found[2, 2] == 1 and found.sum() == 1
