from __future__ import annotations

import itertools
import json

import nibabel as nib
import numpy as np
import pytest

from medseg.geometry import Grid

TURNS = [
    (axes, flips)
    for axes in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]


def oblique() -> Grid:
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = rotation * [0.7, 1.1, 3.0]
    affine[:3, 3] = (-31.5, 12.25, 101.0)
    return Grid((4, 5, 6), affine)


def position(grid: Grid, index: tuple[float, ...]) -> np.ndarray:
    return (grid.affine @ [*index, 1.0])[:-1]


def test_spacing_is_the_length_of_the_affines_columns():
    assert oblique().spacing == pytest.approx((0.7, 1.1, 3.0))


@pytest.mark.parametrize(("axes", "flips"), TURNS)
def test_reorient_keeps_every_voxel_in_place(axes, flips):
    grid = oblique()
    values = np.arange(120).reshape(grid.shape)
    turned = np.flip(values.transpose(axes), [i for i in range(3) if flips[i]])
    target = grid.reorient(axes, flips)
    assert target.shape == turned.shape
    for index in [(0, 0, 0), tuple(n - 1 for n in turned.shape), (1, 2, 3)]:
        index = tuple(min(i, n - 1) for i, n in zip(index, turned.shape, strict=True))
        source = np.unravel_index(turned[index], grid.shape)
        assert position(target, index) == pytest.approx(position(grid, source))


def test_reorient_agrees_with_nibabel():
    grid = oblique()
    image = nib.Nifti1Image(np.zeros(grid.shape, dtype=np.uint8), grid.affine)
    ornt = np.array([[2, -1], [0, 1], [1, -1]])
    expected = image.as_reoriented(ornt)
    turned = grid.reorient((1, 2, 0), (False, True, True))
    assert turned.shape == expected.shape
    assert turned.affine == pytest.approx(expected.affine)


def test_crop_moves_the_origin_to_the_first_voxel_kept():
    cropped = oblique().crop((1, 2, 3), (3, 4, 6))
    assert cropped.shape == (2, 2, 3)
    assert position(cropped, (0, 0, 0)) == pytest.approx(position(oblique(), (1, 2, 3)))


def test_resample_keeps_the_outer_faces():
    grid, new = oblique(), oblique().resample((8, 3, 6))
    low, high = (-0.5, -0.5, -0.5), lambda g: tuple(n - 0.5 for n in g.shape)
    assert position(new, low) == pytest.approx(position(grid, low))
    assert position(new, high(new)) == pytest.approx(position(grid, high(grid)))


def test_shape_at_spacing_rounds_and_is_never_empty():
    assert Grid.from_spacing((10, 10, 1), (1.0, 1.0, 1.0)).shape_at((2.0, 0.5, 9.0)) == (5, 20, 1)


def test_mismatch_tolerates_float32_and_names_the_rest():
    grid = oblique()
    assert grid.mismatch(Grid(grid.shape, grid.affine.astype(np.float32))) is None
    assert "shape" in grid.mismatch(Grid((4, 5, 7), grid.affine))
    moved = grid.affine.copy()
    moved[0, 3] += 0.1
    assert "mm apart" in grid.mismatch(Grid(grid.shape, moved))
    moved[0, 3] = np.nan
    assert grid.mismatch(Grid(grid.shape, moved)) is not None


def test_equal_grids_are_equal_and_hash_alike():
    assert oblique() == oblique()
    assert hash(oblique()) == hash(oblique())
    assert oblique() != oblique().crop((0, 0, 0), (4, 5, 5))


def test_json_round_trip_is_exact():
    assert Grid.from_dict(json.loads(json.dumps(oblique().to_dict()))) == oblique()


def test_the_affine_cannot_be_changed_in_place():
    with pytest.raises(ValueError, match="read-only"):
        oblique().affine[0, 0] = 2.0


@pytest.mark.parametrize("shape", [(3,), (3, 3, 3, 3)])
def test_other_numbers_of_axes_are_refused(shape):
    with pytest.raises(ValueError, match="2 or 3 axes"):
        Grid(shape, np.eye(len(shape) + 1))
