"""What a patch shows of objects that are larger than it."""

from __future__ import annotations

import numpy as np
import pytest

from medseg.data.feed.boxes import shift_boxes, visible_boxes
from medseg.geometry.boxes import Boxes
from medseg.planning.learnable import visible_parts


def test_what_fits_is_seen_whole_and_else_the_part_that_fits():
    sizes = [[4, 4], [8, 8], [16, 8], [16, 32]]
    assert visible_parts(np.array(sizes), (8, 8)).tolist() == [1, 1, 0.5, 0.125]


@pytest.mark.parametrize("size", [(5, 9), (7, 3), (12, 11)])
def test_no_place_of_a_patch_shows_more(size):
    box, patch = Boxes(np.array([[10.0, 10.0, 10 + size[0], 10 + size[1]]])), (6, 4)
    most = 0.0
    for row in range(25):
        for column in range(25):
            seen = visible_boxes(shift_boxes(box, (row, column)), patch, least=0.0)
            most = max(most, float(seen.sizes.prod(axis=1).sum()) / (size[0] * size[1]))
    assert visible_parts(np.array([size]), patch)[0] == pytest.approx(most)
