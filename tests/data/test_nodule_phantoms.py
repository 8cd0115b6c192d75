from __future__ import annotations

import csv
from functools import cache

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from medseg.data import formats, phantoms
from medseg.data.phantoms import chest, vessels
from medseg.data.phantoms.fields import millimetres
from medseg.data.phantoms.nodules import make_nodules_case
from medseg.geometry import Grid
from medseg.geometry.boxes import Boxes
from medseg.geometry.objects_in_masks import of_components
from medseg.metrics import DetectionCase, froc

SCANS = 8


@cache
def scans(with_vessels=True):
    return [make_nodules_case([0, k], with_vessels=with_vessels) for k in range(SCANS)]


@cache
def many():
    return [make_nodules_case([5, k], shape=(80, 72, 40)) for k in range(30)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return phantoms.write("nodules", tmp_path_factory.mktemp("nodules") / "p", cases=4, seed=1)


def depth_of(nodule, points):
    """Solve for the ellipsoid's matrix, in place of turning and scaling: the code's own way."""
    shape = nodule.directions @ np.diag(nodule.semi_axes**2) @ nodule.directions.T
    away = (points - nodule.centre.reshape(3, 1, 1, 1)).reshape(3, -1)
    return (away * np.linalg.solve(shape, away)).sum(axis=0).reshape(points.shape[1:])


def test_the_mask_is_the_stated_ellipsoids_and_each_component_is_one_of_them():
    for image, label, nodules in scans():
        points = millimetres(image.grid.shape, image.grid.spacing)
        inside = [depth_of(nodule, points) <= 1 for nodule in nodules]
        union = np.any(inside, axis=0) if inside else np.zeros(image.grid.shape, dtype=bool)
        # On the surface itself rounding decides.
        assert (union != (label.data == 1)).sum() <= 2
        parts, count = ndimage.label(label.data, structure=np.ones((3, 3, 3)))
        assert count == len(nodules)
        assert sorted(parts[mask][0] for mask in inside) == list(range(1, count + 1))


def test_components_have_the_boxes_and_volumes_of_the_stated_ellipsoids():
    for image, label, nodules in scans():
        parts = of_components(label.data, (1,))
        spacing, middle = np.array(image.grid.spacing), np.array(image.grid.shape) / 2
        assert len(parts.corners) == len(nodules)
        for nodule in nodules:
            # The support function of an ellipsoid: how far it reaches along each axis.
            reach = np.linalg.norm(nodule.directions * nodule.semi_axes, axis=1) / spacing
            centre = nodule.centre / spacing + middle
            stated = np.concatenate([centre - reach, centre + reach])
            number = np.abs(parts.corners - stated).max(axis=1).argmin()
            assert np.abs(parts.corners[number] - stated).max() < 1
            volume = parts.sizes[number] * spacing.prod()
            if nodule.diameter > 12:
                assert volume == pytest.approx(np.pi / 6 * nodule.diameter**3, rel=0.08)


def test_nodules_are_of_all_sizes_kinds_and_places_and_some_scans_have_none():
    found = [nodule for _, _, nodules in many() for nodule in nodules]
    counts = [len(nodules) for _, _, nodules in many()]
    diameters = np.array([nodule.diameter for nodule in found])
    assert diameters.min() >= 4 and diameters.max() <= 30
    assert (diameters < 6).sum() > 3 and (diameters > 15).sum() > 3
    assert {n.density for n in found} == {"solid", "part-solid", "ground-glass"}
    assert {n.place for n in found} == {"free", "vessel", "pleura"}
    assert any(np.ptp(n.semi_axes) > 0.2 * n.semi_axes.max() for n in found)
    assert any(np.ptp(n.semi_axes) < 1e-9 for n in found)
    assert 2 <= counts.count(0) <= 12


def test_greys_are_those_of_ct():
    for image, label, _ in scans():
        hu = image.data[0]
        assert (hu == np.rint(hu)).all() and hu.min() >= -1024 and hu.max() <= 3071
        assert hu[0, 0].mean() == pytest.approx(-1000, abs=10)
        lung = (hu > -950) & (hu < -700) & (label.data == 0)
        assert np.median(hu[lung]) == pytest.approx(-850, abs=45)
        assert 0.1 < lung.mean() < 0.4
        assert ((hu > -20) & (hu < 110)).mean() > 0.2
        assert (hu > 250).any()


def test_a_vessel_is_as_bright_as_a_nodule_and_as_wide_in_a_slice():
    bright, wide = [], []
    for (image, label, _), (bare, _, _) in zip(scans(), scans(with_vessels=False), strict=True):
        hu = image.data[0]
        is_vessel = (hu - bare.data[0] > 500) & (label.data == 0)
        nodule = ndimage.binary_erosion(label.data)
        if (nodule & (hu > -200)).sum() > 10 and is_vessel.sum() > 10:
            core = ndimage.binary_erosion(is_vessel)
            bright.append(np.median(hu[core]) - np.median(hu[nodule & (hu > -200)]))
        for k in range(hu.shape[2]):
            parts, count = ndimage.label(is_vessel[:, :, k])
            sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
            wide += list(2 * np.sqrt(sizes / np.pi) * image.grid.spacing[0])
    assert np.abs(np.median(bright)) < 60
    # As wide as small nodules are, in hundreds of slices.
    assert (np.array(wide) > 4).sum() > 150


def test_the_subsolid_are_darker_than_vessels_and_brighter_than_lung():
    seen = 0
    for image, _, nodules in many():
        for nodule in nodules:
            if nodule.density == "ground-glass" and nodule.diameter > 8:
                points = millimetres(image.grid.shape, image.grid.spacing)
                hu = np.median(image.data[0][depth_of(nodule, points) < 0.5])
                assert -700 < hu < -350
                seen += 1
    assert seen


def by_threshold(image):
    """Find what is brighter than lung, in one piece and no larger than a nodule; round ones first.

    Small pieces are noise.
    """
    bright = (image.data[0] > -400).astype(np.uint8)
    parts = of_components(bright, (1,), connectivity=1, smallest=3)
    spacing = np.array(image.grid.spacing)
    volumes = parts.sizes * spacing.prod()
    corners = parts.corners[volumes < 18_000]
    sides = (corners[:, 3:] - corners[:, :3]) * spacing
    round_and_large = sides.min(axis=1) / sides.max(axis=1) * sides.prod(axis=1) ** (1 / 3)
    return Boxes(corners, scores=round_and_large)


def cpm_of_a_threshold(*, with_vessels):
    cases = [
        DetectionCase(
            by_threshold(image),
            Boxes(of_components(label.data, (1,)).corners),
            spacing=image.grid.spacing,
        )
        for image, label, _ in scans(with_vessels)
    ]
    return froc(cases).cpm


def test_a_threshold_fails_because_of_the_vessels():
    # Even alone, what hangs on the pleura or is of ground glass is not found so: three in ten.
    assert cpm_of_a_threshold(with_vessels=True) < 0.4
    assert cpm_of_a_threshold(with_vessels=False) > 0.55


def test_without_vessels_the_nodules_are_the_same():
    for (image, label, _), (bare, same, _) in zip(scans(), scans(with_vessels=False), strict=True):
        np.testing.assert_array_equal(label.data, same.data)
        assert image.grid == bare.grid
        assert (image.data != bare.data).any()


def test_the_table_gives_the_components_as_spheres(folder):
    spheres = formats.read(folder / "imagesTr")
    masks = formats.read(folder, objects="components")
    assert (spheres.format, masks.format) == ("luna16", "decathlon")
    assert [c.id for c in spheres.cases] == [c.id for c in masks.cases]
    for listed, drawn in zip(spheres.cases, masks.cases, strict=True):
        file = nibabel.load(drawn.label)
        image = nibabel.load(drawn.images[0])
        assert image.get_data_dtype() == np.int16
        np.testing.assert_array_equal(image.affine, file.affine)
        grid = Grid(file.shape, file.affine)
        parts = of_components(np.asarray(file.dataobj), (1,))
        boxes = listed.annotation.boxes(grid)
        assert len(boxes) == len(parts.corners)
        centres = (parts.corners[:, :3] + parts.corners[:, 3:]) / 2
        for centre, size in zip(boxes.centres, boxes.sizes, strict=True):
            number = np.linalg.norm(centres - centre, axis=1).argmin()
            assert np.abs(centres[number] - centre).max() < 1
            extent = parts.corners[number, 3:] - parts.corners[number, :3]
            assert (np.abs(extent - size) < 1.5 + 0.3 * size).all()


def test_the_table_has_a_row_for_each_nodule_with_density_and_place(folder):
    with (folder / "imagesTr/annotations.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows and set(rows[0]) >= {"seriesuid", "coordX", "diameter_mm", "density", "place"}
    counted = 0
    for path in sorted((folder / "labelsTr").iterdir()):
        counted += ndimage.label(nibabel.load(path).get_fdata(), structure=np.ones((3, 3, 3)))[1]
    assert len(rows) == counted


def test_a_vessel_divides_and_tapers_and_ends_at_the_wall():
    rng = np.random.default_rng(0)
    tree = vessels.grow(
        rng,
        np.zeros(3),
        np.array([1.0, 0, 0]),
        radius=3.0,
        size=1.0,
        inside=lambda point: np.linalg.norm(point) < 70,
    )
    assert np.linalg.norm(tree.points, axis=1).max() < 70
    assert tree.radii.max() == 3.0
    assert vessels.SMALLEST_MM * 0.66 < tree.radii.min() < 1.2
    near, far = (
        tree.radii[
            (np.linalg.norm(tree.points, axis=1) > a) & (np.linalg.norm(tree.points, axis=1) <= b)
        ].mean()
        for a, b in ((0, 20), (50, 70))
    )
    assert far < 0.7 * near


def test_depth_in_vessels_is_that_of_the_nearest_tube():
    rng = np.random.default_rng(1)
    tree = vessels.Vessels(rng.uniform(-10, 10, (30, 3)), np.full(30, 1.5))
    points = rng.uniform(-12, 12, (200, 3))
    away = np.linalg.norm(points[:, None] - tree.points[None], axis=2).min(axis=1)
    found = vessels.depth_in(tree, points)
    near = away < 9
    np.testing.assert_allclose(found[near], 1.5 - away[near], atol=1e-9)
    assert (found[~near] == -np.inf).all()


def test_vessels_lie_in_the_lungs_alone():
    shape, spacing = (64, 56, 32), (1.5, 1.5, 2.2)
    made = chest.make_chest(np.random.default_rng(3), millimetres(shape, spacing), spacing)
    lungs = made.below_pleura > 0
    np.testing.assert_array_equal(made.with_blood()[~lungs], made.tissue[~lungs])
    assert (made.below_vessel[~lungs] == -np.inf).all()
    assert 0.005 < (made.below_vessel[lungs] > 0).mean() < 0.15
