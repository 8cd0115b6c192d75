from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from medseg.geometry import Grid
from medseg.geometry.box_overlap import iou
from medseg.geometry.boxes import (
    Boxes,
    from_centre_size,
    from_coco,
    from_spheres,
    from_voc,
    to_centre_size,
    to_coco,
    to_voc,
    voxels_of,
)


def oblique(shape=(40, 50, 30)) -> Grid:
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = rotation * [0.7, 1.1, 3.0]
    affine[:3, 3] = (-31.5, 12.25, 101.0)
    return Grid(shape, affine)


def random_boxes(count: int, ndim: int = 3, *, seed: int = 0) -> Boxes:
    rng = np.random.default_rng(seed)
    lower = rng.uniform(0, 20, (count, ndim))
    classes = rng.integers(0, 3, count)
    corners = np.hstack([lower, lower + rng.uniform(0, 9, (count, ndim))])
    return Boxes(corners, classes, rng.uniform(size=count))


def test_a_box_of_one_voxel_has_its_centre_where_the_affine_puts_the_voxel():
    grid = oblique()
    world = Boxes([[3, 4, 5, 4, 5, 6]]).to_world(grid)
    assert np.allclose(world.centres[0], (grid.affine @ [3, 4, 5, 1])[:3])
    assert np.allclose(world.sizes[0], grid.spacing)


def test_ten_thousand_boxes_come_back_from_the_scanners_space():
    boxes, grid = random_boxes(10_000), oblique()
    world = boxes.to_world(grid)
    back = Boxes.from_world(world, grid)
    assert np.allclose(back.corners, boxes.corners, atol=1e-9)
    assert (back.classes == boxes.classes).all() and (back.scores == boxes.scores).all()


def test_boxes_in_the_scanners_space_have_their_eight_corners_where_those_in_voxels_are():
    boxes, grid = random_boxes(10_000), oblique()
    world = boxes.to_world(grid)
    for sides in itertools.product((0, 1), repeat=3):
        edges = np.stack([boxes.corners[:, 3 * side + axis] for axis, side in enumerate(sides)], 1)
        expected = (edges - 0.5) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
        half = world.sizes / 2 * (2 * np.array(sides) - 1)
        assert np.allclose(world.centres + half @ world.directions.T, expected)


def test_on_another_grid_ten_thousand_boxes_become_the_smallest_that_hold_them():
    boxes, source = random_boxes(10_000), oblique()
    target = Grid.from_spacing((60, 60, 60), (0.5, 2.0, 1.0))
    found = Boxes.from_world(boxes.to_world(source), target).corners
    to_target = np.linalg.inv(target.affine) @ source.affine
    sides = np.array(list(itertools.product((0, 1), repeat=3)))
    edges = boxes.corners.reshape(-1, 2, 3)[:, sides, np.arange(3)] - 0.5  # (N, 8 corners, 3)
    there = edges @ to_target[:3, :3].T + to_target[:3, 3] + 0.5
    assert np.allclose(found, np.hstack([there.min(axis=1), there.max(axis=1)]))


def test_a_sphere_on_an_oblique_grid_touches_all_six_faces_of_its_box():
    grid = oblique()
    centre, radius = np.array([[3.0, 20.0, 130.0]]), 9.0
    corners = from_spheres(centre, np.array([2 * radius]), grid)[0]
    directions = np.random.default_rng(1).normal(size=(200_000, 3))
    surface = centre + radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    inverse = np.linalg.inv(grid.affine)
    edges = surface @ inverse[:3, :3].T + inverse[:3, 3] + 0.5
    expected = np.array([*edges.min(axis=0), *edges.max(axis=0)])
    assert np.allclose(corners, expected, atol=0.01)
    assert (corners[:3] <= expected[:3]).all() and (corners[3:] >= expected[3:]).all()


def test_ten_thousand_spheres_reach_as_far_as_their_support_functions():
    """In a direction u an ellipsoid A·(unit sphere) reaches |Aᵀu|; here A is the way to voxels."""
    grid, rng = oblique(), np.random.default_rng(3)
    centres, diameters = rng.uniform(-200, 200, (10_000, 3)), rng.uniform(0, 40, 10_000)
    inverse = np.linalg.inv(grid.affine)
    found = from_spheres(centres, diameters, grid)
    for number, (centre, diameter) in enumerate(zip(centres, diameters, strict=True)):
        middle = (inverse @ [*centre, 1])[:3] + 0.5
        for axis, unit in enumerate(np.eye(3)):
            reach = diameter / 2 * np.sqrt(((inverse[:3, :3].T @ unit) ** 2).sum())
            assert abs(found[number, axis] - (middle[axis] - reach)) < 1e-9
            assert abs(found[number, 3 + axis] - (middle[axis] + reach)) < 1e-9


def test_the_sphere_of_one_voxel_is_the_box_of_one_voxel():
    grid = Grid.from_spacing((9, 9, 9), 2.0)
    assert np.allclose(
        from_spheres(np.array([[8.0, 4.0, 2.0]]), np.array([2.0]), grid), [[4, 2, 1, 5, 3, 2]]
    )


@pytest.mark.parametrize("ndim", [2, 3])
def test_centre_and_size_are_another_way_to_say_a_box(ndim):
    corners = random_boxes(10_000, ndim).corners
    centres, sizes = to_centre_size(corners)
    assert np.allclose(from_centre_size(centres, sizes), corners)
    for box, centre, size in zip(corners.tolist(), centres, sizes, strict=True):
        for axis in range(ndim):
            assert centre[axis] == pytest.approx((box[axis] + box[ndim + axis]) / 2)
            assert size[axis] == pytest.approx(box[ndim + axis] - box[axis])


def test_a_voc_box_of_one_pixel_is_one_pixel():
    # The pixel in column 7 and row 3, counted from 1.
    assert from_voc([[7, 3, 7, 3]]).tolist() == [[2, 6, 3, 7]]


def test_a_coco_box_covers_the_pixels_from_its_corner_on():
    assert from_coco([[6, 2, 4, 1]]).tolist() == [[2, 6, 3, 10]]


def test_ten_thousand_boxes_are_the_pixels_that_voc_and_coco_mean():
    """Count the pixels (column, row) which each description covers, one axis after the other."""
    rng = np.random.default_rng(4)
    first = rng.integers(1, 40, (10_000, 2))
    last = first + rng.integers(0, 9, (10_000, 2))
    voc = from_voc(np.hstack([first, last]))
    coco = from_coco(np.hstack([first - 1, last - first + 1]))
    assert np.array_equal(voc, coco)
    for box, (x0, y0), (x1, y1) in zip(voc, first, last, strict=True):
        rows, columns = (slice(*box[[axis, 2 + axis]].astype(int)) for axis in (0, 1))
        assert [*range(y0, y1 + 1)] == [row + 1 for row in range(50)[rows]]
        assert [*range(x0, x1 + 1)] == [column + 1 for column in range(50)[columns]]


def test_pycocotools_sees_the_same_boxes_around_masks_and_the_same_overlaps():
    tools = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    boxes = Boxes(np.floor(random_boxes(300, 2).corners + np.array([0, 0, 1, 1])))
    masks = np.zeros((30, 30, len(boxes)), dtype=np.uint8, order="F")
    for number, box in enumerate(boxes.corners):
        masks[(*voxels_of(box, (30, 30)), number)] = 1
    assert np.array_equal(from_coco(tools.toBbox(tools.encode(masks))), boxes.corners)
    ours, theirs = random_boxes(100, 2), random_boxes(100, 2, seed=1)
    overlaps = tools.iou(to_coco(ours.corners), to_coco(theirs.corners), [0] * 100)
    pair = (torch.from_numpy(one.corners) for one in (ours, theirs))
    assert np.allclose(iou(*pair).numpy(), overlaps)


@pytest.mark.parametrize(("there", "back"), [(to_voc, from_voc), (to_coco, from_coco)])
def test_formats_of_pictures_are_undone(there, back):
    corners = random_boxes(10_000, 2).corners
    assert np.allclose(back(there(corners)), corners)


def test_clipped_boxes_end_with_the_image():
    boxes = Boxes([[-2, 3, 5, 9], [11, 0, 14, 4]])
    assert boxes.clip((10, 8)).corners.tolist() == [[0, 3, 5, 8], [10, 0, 10, 4]]


def test_ten_thousand_boxes_end_with_the_image_one_by_one():
    boxes, shape = random_boxes(10_000), (12, 25, 9)
    for box, cut in zip(boxes.corners, boxes.clip(shape).corners, strict=True):
        assert cut.tolist() == [min(max(0, x), shape[n % 3]) for n, x in enumerate(box)]


@pytest.mark.parametrize("ndim", [2, 3])
def test_no_boxes_go_everywhere(ndim):
    none = Boxes.none(ndim)
    grid = Grid.from_spacing((8,) * ndim)
    assert len(none) == len(none.clip(grid.shape)) == 0
    assert Boxes.from_world(none.to_world(grid), grid).corners.shape == (0, 2 * ndim)
    assert from_spheres(np.zeros((0, ndim)), np.zeros(0), grid).shape == (0, 2 * ndim)
    assert to_centre_size(none.corners)[0].shape == (0, ndim)


def test_chosen_boxes_keep_their_classes_and_scores():
    boxes = random_boxes(8)
    chosen = boxes[boxes.scores > 0.5]
    assert (chosen.scores > 0.5).all() and len(chosen) == (boxes.scores > 0.5).sum()
    assert (chosen.classes == boxes.classes[boxes.scores > 0.5]).all()


@pytest.mark.parametrize(
    "arguments",
    [
        {"corners": [[0, 0, 1]]},
        {"corners": [0, 0, 1, 1]},
        {"corners": [[0, 0, 1, 1]], "classes": [0, 1]},
        {"corners": [[0, 0, 1, 1]], "scores": []},
    ],
)
def test_arrays_that_do_not_fit_are_refused(arguments):
    with pytest.raises(ValueError, match=r"boxes|\(N, 4\)"):
        Boxes(**arguments)


def test_a_box_has_the_voxels_whose_centres_it_holds():
    rng = np.random.default_rng(5)
    lower = rng.uniform(-4, 12, (200, 2))
    for box in np.hstack([lower, lower + rng.uniform(1, 9, (200, 2))]):
        centres = np.stack(np.meshgrid(np.arange(12) + 0.5, np.arange(9) + 0.5, indexing="ij"), -1)
        expected = ((centres >= box[:2]) & (centres < box[2:])).all(axis=-1)
        mine = np.zeros((12, 9), dtype=bool)
        mine[voxels_of(box, (12, 9))] = True
        assert np.array_equal(mine, expected)


def test_a_box_too_small_for_a_centre_is_one_voxel():
    place = voxels_of(np.array([3.6, 3.1, 3.9, 3.2]), (6, 6))
    assert place == (slice(3, 4), slice(3, 4))
