"""What readers agree on."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_fill_holes

from medseg.data.formats.consensus import Marked, agreed, inside


def block(reader, x, y, z=(0.0,), size=4):
    pixels = np.array([(x + i, y + j) for i in range(size) for j in range(size)])
    return Marked(reader, {float(s): pixels for s in z})


def ring(cx, cy, radius):
    """An outline of neighbouring pixels around a disc, in order."""
    angles = np.linspace(0, 2 * np.pi, 400)
    points = np.rint([cx + radius * np.cos(angles), cy + radius * np.sin(angles)]).T.astype(int)
    changed = np.any(np.diff(points, axis=0, prepend=points[:1] - 9), axis=1)
    return points[changed]


def test_the_inside_of_an_outline_is_what_filling_it_adds():
    for radius in (1.0, 2.5, 7.0, 20.0):
        outline = ring(40, 30, radius)
        drawn = np.zeros((90, 90), dtype=bool)
        drawn[outline[:, 0], outline[:, 1]] = True
        expected = set(map(tuple, np.argwhere(binary_fill_holes(drawn) & ~drawn).tolist()))
        assert set(map(tuple, inside(outline).tolist())) == expected
        assert expected


def test_corners_alone_are_joined_by_lines():
    found = inside(np.array([(10, 10), (14, 10), (14, 14), (10, 14)]))
    assert {tuple(p) for p in found.tolist()} == {
        (x, y) for x in (11, 12, 13) for y in (11, 12, 13)
    }


def test_a_point_has_no_inside():
    assert len(inside(np.array([(3, 4)]))) == 0


def test_the_box_is_that_of_the_voxels_that_two_readers_share():
    marks = [block(0, 10, 20, (5.0, 7.5)), block(1, 12, 21, (7.5, 10.0))]
    found, alone = agreed(marks)
    # Columns 12 and 13, rows 21 to 23, the slice at 7.5 mm.
    assert found == [(12, 21, 7.5, 14, 24, 7.5)] and alone == []


def test_what_one_reader_marked_stands_apart_with_its_own_box():
    found, alone = agreed([block(0, 0, 0), block(1, 50, 50)])
    assert found == [] and alone == [(0, 0, 0.0, 4, 4, 0.0), (50, 50, 0.0, 54, 54, 0.0)]


def test_the_same_reader_twice_does_not_agree_with_himself():
    found, alone = agreed([block(0, 0, 0), block(0, 1, 1)])
    assert found == [] and len(alone) == 1


def test_marks_join_through_others():
    marks = [block(0, 0, 0), block(1, 6, 0), block(2, 3, 0)]
    found, alone = agreed(marks)
    assert found == [(3, 0, 0.0, 7, 4, 0.0)] and alone == []


def test_more_readers_may_be_asked_for():
    marks = [block(r, r, 0) for r in range(4)]
    assert agreed(marks, readers=2)[0] == [(1, 0, 0.0, 6, 4, 0.0)]
    assert agreed(marks, readers=3)[0] == [(2, 0, 0.0, 5, 4, 0.0)]
    assert agreed(marks, readers=4)[0] == [(3, 0, 0.0, 4, 4, 0.0)]


def test_nothing_marked_is_nothing_found():
    assert agreed([]) == ([], [])


def test_the_box_equals_counting_in_an_array():
    rng = np.random.default_rng(3)
    for _ in range(20):
        votes = np.zeros((30, 30, 6), dtype=int)
        marks = []
        for reader in range(4):
            x, y, z = *rng.integers(8, 14, 2).tolist(), int(rng.integers(0, 3))
            marks.append(block(reader, x, y, range(z, z + 3), size=8))
            votes[x : x + 8, y : y + 8, z : z + 3] += 1
        voxels = np.argwhere(votes >= 2)
        low, high = voxels.min(axis=0), voxels.max(axis=0)
        expected = (*low.tolist(), *(high[:2] + 1).tolist(), int(high[2]))
        assert agreed(marks)[0] == [expected]
