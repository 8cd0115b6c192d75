from __future__ import annotations

from itertools import product

import pytest
import torch

from medseg.detection.anchors import AnchorGenerator
from medseg.errors import InputError


def by_loops(shapes, sizes, strides):
    boxes = []
    for shape, level, stride in zip(shapes, sizes, strides, strict=True):
        for place in product(*map(range, shape)):
            for size in level:
                middle = [(i + 0.5) * s for i, s in zip(place, stride, strict=True)]
                low = [m - n / 2 for m, n in zip(middle, size, strict=True)]
                high = [m + n / 2 for m, n in zip(middle, size, strict=True)]
                boxes.append([*low, *high])
    return torch.tensor(boxes)


@pytest.mark.parametrize(
    ("shapes", "sizes", "strides"),
    [
        ([(3, 5)], [[(4.0, 6.0)]], [(2, 2)]),
        ([(4, 6), (2, 3)], [[(4, 6), (5, 5)], [(8, 12), (10, 10)]], [(2, 4), (4, 8)]),
        (
            [(4, 2, 3), (2, 2, 1)],
            [[(4, 6, 3), (5, 5, 5)], [(8, 6, 6), (10, 5, 9)]],
            [(1, 2, 2), (2, 2, 4)],
        ),
    ],
)
def test_anchors_lie_as_loops_lay_them(shapes, sizes, strides):
    generator = AnchorGenerator(sizes, strides)
    expected = by_loops(shapes, sizes, strides)
    assert torch.equal(generator(shapes), expected)
    assert sum(generator.counts(shapes)) == len(expected)
    assert generator(shapes) is generator(shapes)


def test_monai_lays_them_the_same_way():
    utils = pytest.importorskip("monai.apps.detection.utils.anchor_utils")
    shapes = [(6, 4, 8), (3, 2, 4)]
    theirs = utils.AnchorGeneratorWithAnchorShape((1, 2), ((6, 8, 4), (8, 6, 6)))
    maps = [torch.zeros(1, 1, *shape) for shape in shapes]
    (expected,) = theirs(torch.zeros(1, 1, 24, 16, 16), maps)
    ours = AnchorGenerator(
        [[(6, 8, 4), (8, 6, 6)], [(12, 16, 8), (16, 12, 12)]], [(4, 4, 2), (8, 8, 4)]
    )
    assert torch.equal(ours(shapes), expected)


def test_a_mirrored_patch_has_mirrored_anchors():
    anchors = AnchorGenerator([[(3.0, 5.0)]], [(2, 4)])([(4, 3)])
    mirrored = anchors.clone()
    mirrored[:, [0, 2]] = 8 - anchors[:, [2, 0]]
    assert torch.equal(mirrored.view(4, 3, 4).flip(0), anchors.view(4, 3, 4))


@pytest.mark.parametrize(
    ("sizes", "strides"),
    [
        ([[(4, 4)]], [(2, 2), (4, 4)]),
        ([[(4, 4)], [(4, 4), (8, 8)]], [(2, 2), (4, 4)]),
        ([[(4, 4)]], [(2, 2, 2)]),
        ([[(4, 0)]], [(2, 2)]),
        ([[(4, 4)]], [(2, 0)]),
        ([[]], [(2, 2)]),
        ([], []),
    ],
)
def test_sizes_that_do_not_fit_the_strides_are_refused(sizes, strides):
    with pytest.raises(InputError):
        AnchorGenerator(sizes, strides)


def test_another_number_of_levels_is_refused():
    with pytest.raises(InputError, match="levels"):
        AnchorGenerator([[(4, 4)]], [(2, 2)])([(4, 4), (2, 2)])
