from __future__ import annotations

import math

import numpy as np
import pytest

from medseg.errors import InputError
from medseg.metrics import Panoptic, panoptic, panoptic_by_class


def line(*runs: tuple[int, int]) -> np.ndarray:
    """Make a map of one row from ``(value, length)``."""
    return np.concatenate([np.full(length, value) for value, length in runs])


def test_two_objects_worked_by_hand():
    # IoU 6/8 of the first; 1/6 of the second, which is no pair.
    reference = line((0, 2), (1, 8), (0, 2), (2, 4), (0, 2))
    pred = line((0, 2), (5, 6), (0, 4), (0, 3), (9, 3))
    found = panoptic(pred, reference)
    assert (found.tp, found.fp, found.fn) == (1, 1, 1)
    assert found.iou == pytest.approx(0.75)
    assert (found.sq, found.rq, found.pq) == pytest.approx((0.75, 0.5, 0.375))


def test_quality_is_the_product_of_its_parts():
    found = Panoptic(tp=3, fp=2, fn=1, iou=2.4)
    assert found.pq == pytest.approx(found.sq * found.rq) == pytest.approx(2.4 / 4.5)


def test_a_map_against_itself_is_perfect_whatever_its_numbers():
    reference = line((0, 2), (7, 3), (60_000, 2), (0, 1), (7, 1))
    found = panoptic(np.where(reference == 7, 1, reference * 2), reference)
    assert (found.tp, found.fp, found.fn, found.pq) == (2, 0, 0, 1)


def test_half_is_no_pair():
    assert panoptic(line((1, 2), (0, 2)), line((1, 4))).tp == 0
    assert panoptic(line((1, 3), (0, 1)), line((1, 4))).tp == 1


def test_empty_maps_say_what_they_give():
    empty, one = np.zeros(4, dtype=int), line((1, 2), (0, 2))
    assert panoptic(empty, empty) == Panoptic()
    assert all(math.isnan(value) for value in (Panoptic().pq, Panoptic().sq, Panoptic().rq))
    for found in (panoptic(one, empty), panoptic(empty, one)):
        assert (found.pq, found.rq) == (0, 0)
        assert math.isnan(found.sq)


def test_void_counts_in_no_overlap_and_excuses():
    reference = line((1, 4), (0, 8))
    pred = line((1, 7), (2, 5))
    void = np.arange(12) >= 4
    found = panoptic(pred, reference, void=void)
    assert (found.tp, found.fp, found.fn, found.iou) == (1, 0, 0, 1)
    # Only half of the second prediction lies in the void: a false positive.
    found = panoptic(line((1, 4), (2, 4), (0, 4)), reference, void=np.arange(12) >= 6)
    assert found.fp == 1


def test_images_add_up():
    whole = sum([Panoptic(1, 0, 0, 0.8), Panoptic(0, 1, 1)], Panoptic())
    assert whole == Panoptic(1, 1, 1, 0.8)
    assert whole.pq == pytest.approx(0.4)


def loops(pred, reference):
    tp, total = 0, 0.0
    mine, theirs = set(np.unique(pred)) - {0}, set(np.unique(reference)) - {0}
    for a in mine:
        for b in theirs:
            iou = ((pred == a) & (reference == b)).sum() / ((pred == a) | (reference == b)).sum()
            if iou > 0.5:
                tp, total = tp + 1, total + iou
    return tp, len(mine) - tp, len(theirs) - tp, total


@pytest.mark.parametrize("shape", [(12, 12), (6, 6, 6)])
def test_counts_are_those_of_plain_loops(shape):
    rng = np.random.default_rng(0)
    for _ in range(20):
        coarse = rng.integers(0, 7, [size // 3 for size in shape])
        reference = np.kron(coarse, np.ones([3] * len(shape), dtype=int))
        pred = np.where(rng.random(shape) < 0.25, rng.integers(0, 7, shape), reference)
        found = panoptic(pred, reference)
        assert (found.tp, found.fp, found.fn) == loops(pred, reference)[:3]
        assert found.iou == pytest.approx(loops(pred, reference)[3])


def test_objects_of_different_classes_are_no_partners():
    reference = line((1, 4), (2, 4), (0, 1))
    pred = line((1, 4), (2, 4), (0, 1))
    first, second, third = panoptic_by_class(
        pred, np.array([0, 0]), reference, np.array([0, 1]), classes=3
    )
    assert first == Panoptic(1, 1, 0, 1.0)
    assert second == Panoptic(0, 0, 1, 0.0)
    assert third == Panoptic()


def test_maps_of_different_shapes_are_refused():
    with pytest.raises(InputError, match="shape"):
        panoptic(np.zeros((2, 2), dtype=int), np.zeros((2, 3), dtype=int))
