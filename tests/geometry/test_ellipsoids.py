from __future__ import annotations

import numpy as np
import pytest

from medseg.geometry.ellipsoids import ellipsoid_distance


def test_the_distance_is_one_on_the_inscribed_ellipsoid():
    way = ellipsoid_distance((20, 30), np.array([2, 5, 12, 25]))
    assert way[6, 14] == pytest.approx(np.hypot(0.5 / 5, 0.5 / 10))
    assert way[11, 14] == pytest.approx(np.hypot(4.5 / 5, 0.5 / 10))


def test_a_thin_box_holds_the_voxel_in_its_middle():
    way = ellipsoid_distance((9, 9, 9), np.array([2, 2, 4.4, 5, 5, 4.6]))
    assert np.argwhere(way <= 1).tolist() == [[i, j, 4] for i in (2, 3, 4) for j in (2, 3, 4)]
