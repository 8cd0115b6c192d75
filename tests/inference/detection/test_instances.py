from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from medseg.errors import InputError
from medseg.geometry.boxes import Boxes
from medseg.inference.detection.instances import instances_of
from medseg.labels import LabelScheme
from medseg.metrics import panoptic, panoptic_by_class


def ball(shape, centre, radius) -> np.ndarray:
    points = np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in shape), indexing="ij"), axis=-1)
    return (((points - centre) / radius) ** 2).sum(axis=-1) < 1


def around(*balls) -> np.ndarray:
    return np.array([[*(np.array(c) - r), *(np.array(c) + r)] for c, r in balls], dtype=float)


def scene(shape, balls) -> np.ndarray:
    truth = np.zeros(shape, dtype=int)
    for number, (centre, radius) in enumerate(balls, start=1):
        truth[ball(shape, centre, radius)] = number
    return truth


# Two that touch, and one apart.
DISCS = [((20, 20), 12), ((20, 40), 8), ((20, 62), 7)]
BALLS = [((14, 14, 14), 9), ((14, 14, 28), 5), ((14, 36, 14), 6)]


@pytest.mark.parametrize(("shape", "balls"), [((40, 74), DISCS), ((28, 46, 40), BALLS)])
@pytest.mark.parametrize("blur", [0, 1])
def test_touching_objects_are_told_apart(shape, balls, blur):
    truth = scene(shape, balls)
    corners = around(*balls)
    # Boxes as a network finds them, a little off.
    corners += blur * np.random.default_rng(1).uniform(-1, 1, corners.shape)
    found = instances_of((truth > 0).astype(np.uint8), Boxes(corners, scores=[0.9, 0.8, 0.7]))
    quality = panoptic(found.map, truth)
    assert (quality.tp, quality.fp, quality.fn) == (3, 0, 0)
    assert quality.pq == 1 if not blur else quality.pq > 0.85
    assert found.sources.tolist() == [0, 1, 2] and found.objects.scores.tolist() == [0.9, 0.8, 0.7]
    assert not len(found.unmasked) and found.pieces == 0


def test_the_boxes_of_the_result_are_those_of_the_outlines():
    mask = np.zeros((20, 20), dtype=np.uint8)
    mask[3:9, 4:12] = 1
    found = instances_of(mask, Boxes([[2, 3, 11, 14]], scores=[0.5]))
    assert found.objects.corners.tolist() == [[3, 4, 9, 12]]
    assert (found.map == mask).all()


def test_without_boxes_touching_objects_are_one_and_quality_says_so():
    # Half of each pair merged: an IoU of A / (A + B) with the larger, above one half.
    truth = scene((40, 74), DISCS)
    mask = (truth > 0).astype(np.uint8)
    found = instances_of(mask, Boxes.none(2), without_box="keep")
    areas = np.bincount(truth.ravel())[1:]
    merged = areas[0] / (areas[0] + areas[1])
    quality = panoptic(found.map, truth)
    assert quality.pq == pytest.approx((merged + 1) / (2 + 0.5))


def test_a_mask_without_a_box_goes_or_stays_without_a_score():
    truth = scene((40, 74), DISCS)
    mask = (truth > 0).astype(np.uint8)
    boxes = Boxes(around(*DISCS[:2]), scores=[0.9, 0.8])
    gone = instances_of(mask, boxes)
    assert gone.pieces == 1 and gone.map.max() == 2 and not gone.map[truth == 3].any()
    assert panoptic(gone.map, truth).pq == pytest.approx(2 / 2.5)
    kept = instances_of(mask, boxes, without_box="keep")
    assert kept.pieces == 1 and (kept.map == truth).all()
    assert kept.sources.tolist() == [0, 1, -1] and kept.objects.scores.tolist() == [0.9, 0.8, 0]


def test_a_box_without_a_mask_goes_or_is_its_ellipsoid():
    truth = scene((40, 74), DISCS)
    mask = np.isin(truth, (1, 2)).astype(np.uint8)
    boxes = Boxes(around(*DISCS), scores=[0.9, 0.8, 0.7])
    gone = instances_of(mask, boxes)
    assert gone.unmasked.tolist() == [2] and gone.sources.tolist() == [0, 1]
    painted = instances_of(mask, boxes, without_mask="ellipsoid")
    assert painted.unmasked.tolist() == [2] and (painted.map == truth).all()


def test_a_painted_ellipsoid_covers_no_other_object():
    mask = np.zeros((20, 20), dtype=np.uint8)
    mask[:, :10] = 1
    boxes = Boxes([[0, 0, 20, 10], [5, 6, 15, 14], [-9, -9, -1, -1]], [0, 1, 1], [0.9, 0.8, 0.7])
    found = instances_of(mask, boxes, without_mask="ellipsoid")
    assert (found.map[:, :10] == 1).all() and (found.map[10, 10:13] == 2).all()
    # Outside the image there is nothing to paint.
    assert found.sources.tolist() == [0, 1] and found.unmasked.tolist() == [1, 2]


def test_a_box_that_grazes_another_object_does_not_cut_it():
    mask = np.zeros((40, 40), dtype=np.uint8)
    mask[5:25, 5:25] = 1
    boxes = Boxes([[5, 5, 25, 25], [23, 23, 35, 35]], scores=[0.6, 0.9])
    found = instances_of(mask, boxes)
    assert found.unmasked.tolist() == [1] and (found.map == mask).all()
    # It is its object only if that is asked for.
    assert instances_of(mask, boxes, least=0.01).map.max() == 2


def test_pieces_of_one_object_stay_together():
    mask = np.zeros((30, 30), dtype=np.uint8)
    mask[5:15, 5:15], mask[17:19, 8:12] = 1, 1
    found = instances_of(mask, Boxes([[4, 4, 20, 16]], scores=[0.9]))
    assert found.pieces == 0 and (found.map == mask).all() and len(found.objects) == 1


def test_a_small_mask_in_a_large_box_is_its_object():
    mask = np.zeros((12, 12, 12), dtype=np.uint8)
    mask[5, 5, 5] = 1
    found = instances_of(mask, Boxes([[0, 0, 0, 12, 12, 12]]))
    assert len(found.objects) == 1 and found.objects.scores.tolist() == [1]


def test_a_speck_that_two_large_boxes_hold_is_not_cut():
    mask = np.zeros((30, 30), dtype=np.uint8)
    mask[14:16, 14:18] = 1
    found = instances_of(mask, Boxes([[2, 2, 17, 17], [5, 5, 25, 25]], scores=[0.9, 0.5]))
    assert found.sources.tolist() == [1] and (found.map == mask).all()


def test_of_very_many_specks_each_goes_to_the_surest_box_around_it():
    mask = np.zeros((300, 300), dtype=np.uint8)
    mask[::2, ::2] = 1
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 270, (200, 2))
    corners = np.hstack([low, low + rng.uniform(10, 30, (200, 2))])
    tracemalloc.start()
    found = instances_of(mask, Boxes(corners, scores=np.linspace(1, 0.1, 200)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    specks = np.argwhere(mask)
    held = (
        (specks[:, None] + 0.5 > corners[:, :2]) & (specks[:, None] + 0.5 < corners[:, 2:])
    ).all(axis=2)
    expected = np.where(held.any(axis=1), held.argmax(axis=1), -1)
    got = np.append(-1, found.sources)[found.map[tuple(specks.T)]]
    assert (got == expected).all() and found.pieces == (expected < 0).sum()
    # A table of specks and boxes would take more.
    assert peak < len(specks) * len(corners) * 8 / 2


def test_classes_do_not_take_from_each_other():
    truth = scene((40, 74), DISCS)
    mask = np.array([0, 1, 2, 1])[truth]
    boxes = Boxes(around(*DISCS), [0, 1, 0], [0.5, 0.8, 0.7])
    found = instances_of(mask, boxes)
    assert (found.map == truth).all() and found.objects.classes.tolist() == [0, 1, 0]
    qualities = panoptic_by_class(found.map, found.objects.classes, truth, [0, 1, 0], classes=2)
    assert [one.pq for one in qualities] == [1, 1]
    # The box of a class that the mask lacks there has nothing.
    other = instances_of(mask, Boxes(around(DISCS[2]), [1], [0.9]))
    assert other.unmasked.tolist() == [0] and other.pieces == 3


def test_a_region_unites_its_classes_and_regions_that_overlap_are_refused():
    scheme = LabelScheme({"core": 1, "oedema": 2}, {"all": (1, 2), "core": (1,)})
    truth = scene((40, 74), DISCS[:1])
    mask = truth.copy()
    mask[20:] *= 2
    boxes = Boxes(around(DISCS[0]), scores=[0.5])
    found = instances_of(mask, boxes, members=scheme.region_indices()[:1])
    assert (found.map == truth).all()
    with pytest.raises(InputError, match="overlap"):
        instances_of(mask, boxes, members=scheme.region_indices())


@pytest.mark.parametrize("connectivity", [1, None])
def test_corners_join_unless_faces_are_asked_for(connectivity):
    mask = np.zeros((12, 12), dtype=np.uint8)
    mask[2:6, 2:6], mask[6:8, 6:8] = 1, 1
    found = instances_of(mask, Boxes([[2, 2, 6, 6]]), connectivity=connectivity)
    assert found.pieces == (1 if connectivity == 1 else 0)


@pytest.mark.parametrize("shape", [(8, 9), (8, 9, 10)])
def test_nothing_is_an_ordinary_image(shape):
    empty = np.zeros(shape, dtype=np.uint8)
    nothing = instances_of(empty, Boxes.none(len(shape)))
    assert not nothing.map.any() and nothing.map.shape == shape and len(nothing.objects) == 0
    alone = instances_of(empty, Boxes(np.array([[1] * len(shape) + [5] * len(shape)])))
    assert alone.unmasked.tolist() == [0] and len(alone.objects) == 0


def test_a_mask_of_other_axes_is_refused():
    with pytest.raises(InputError, match="number of axes"):
        instances_of(np.zeros((4, 4), dtype=np.uint8), Boxes.none(3))


def test_maps_of_centres_are_taken_by_class():
    mask = np.full((1, 30), 2, dtype=np.uint8)
    heat = np.zeros((2, 1, 30))
    heat[1, 0] = np.concatenate([np.linspace(1, 0, 20), np.linspace(0.1, 1, 10)])
    boxes = Boxes([[0, 0, 1, 10], [0, 20, 1, 30]], [1, 1], [0.9, 0.8])
    found = instances_of(mask, boxes, heat=heat)
    assert abs(int((found.map == 1).sum()) - 20) <= 1
