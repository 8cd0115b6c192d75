"""A real glioma as detection: the components of its regions are boxes, in voxels and in mm."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from medseg.data import formats
from medseg.data.prepare.moving_boxes import prepare_boxes, restore_boxes
from medseg.data.prepare.objects import read_objects
from medseg.data.prepare.preprocess import preprocess
from medseg.data.prepare.reading import read_image
from medseg.planning.plan import Normalisation, PreprocessingPlan

CASE = "BraTS-GLI-00000-000"
# As BraTS 2023 describes them: necrosis 1, oedema 2, enhancing 3.
REGIONS = {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)}


@pytest.fixture(scope="module")
def glioma(real_data, tmp_path_factory):
    """Give the case, its image and its objects."""
    root = tmp_path_factory.mktemp("brats")
    (root / CASE).symlink_to(real_data(f"brats/{CASE}"))
    found = formats.read(
        root, format="brats", labels="brats2023", regions=True, objects="components"
    )
    (case,) = found.cases
    volume = read_image(case)
    return case, volume, read_objects(case, volume, found.objects, found.labels)


def pieces(case):
    """Give the region and the voxels ``(N, 3)`` of each component, by SciPy."""
    mask = np.asarray(nibabel.load(case.label).dataobj)
    for number, values in enumerate(REGIONS.values()):
        parts, _ = ndimage.label(np.isin(mask, values), np.ones((3, 3, 3)))
        for part, place in enumerate(ndimage.find_objects(parts), start=1):
            inside = np.argwhere(parts[place] == part) + [along.start for along in place]
            yield number, inside


def test_each_component_of_a_region_has_the_box_that_covers_it_exactly(glioma):
    case, _, objects = glioma
    expected = {(n, *voxels.min(axis=0), *(voxels.max(axis=0) + 1)) for n, voxels in pieces(case)}
    mine = objects.boxes
    assert mine.scores is None and len(mine) == len(expected) > 3
    assert {(int(c), *box) for c, box in zip(mine.classes, mine.corners, strict=True)} == expected
    assert set(mine.classes) == {0, 1, 2} and objects.dtype.startswith("float")


def test_in_millimetres_the_boxes_cover_the_voxels_and_nothing_beside_them(glioma):
    case, volume, objects = glioma
    affine = nibabel.load(case.label).affine
    boxes, world = objects.boxes, objects.boxes.to_world(volume.grid)
    keys = np.column_stack([boxes.classes, boxes.corners])
    numbers = {tuple(key): number for number, key in enumerate(keys)}
    for region, voxels in pieces(case):
        number = numbers[(region, *voxels.min(axis=0), *(voxels.max(axis=0) + 1))]
        there = voxels @ affine[:3, :3].T + affine[:3, 3]
        along = (there - world.centres[number]) @ world.directions
        # Voxels of 1 mm reach half a millimetre beyond their centres.
        reach = np.abs(along).max(axis=0) + 0.5
        assert np.allclose(reach, world.sizes[number] / 2, atol=1e-4)


def test_on_the_way_to_another_grid_and_back_they_stay_exact(glioma):
    _, volume, objects = glioma
    plan = PreprocessingPlan("RAS", "nonzero", (1.5, 2.0, 1.2), (Normalisation("zscore"),) * 4)
    record = preprocess(volume, plan).record
    corners = objects.boxes.corners
    there = prepare_boxes(record, corners)
    assert not np.allclose(there, corners)
    assert np.allclose(restore_boxes(record, there), corners, atol=1e-9)
