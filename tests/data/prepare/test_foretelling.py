"""What is guessed of a data set before it is read."""

from __future__ import annotations

import numpy as np
import pytest

from medseg.data import formats
from medseg.data.prepare.few_objects import few_objects
from medseg.data.prepare.fingerprint import fingerprint
from medseg.data.prepare.foretelling import foretell_fingerprint
from tests import box_data


@pytest.mark.parametrize("layout", ["voc", "nndetection", "luna16", "boxlist"])
def test_the_objects_of_a_few_are_those_that_reading_finds(tmp_path, layout):
    dataset = formats.read(box_data.LISTED[layout](tmp_path))
    guessed, read = foretell_fingerprint(dataset), fingerprint(dataset)
    for mine, true in zip(guessed.cases, read.cases, strict=True):
        assert (mine.id, mine.shape) == (true.id, true.shape)
        np.testing.assert_allclose(mine.objects, true.objects, atol=1e-6)


def test_masks_are_not_read_where_nothing_is_to_be_found(tmp_path):
    dataset = formats.read(box_data.masks(tmp_path))
    for case in dataset.cases:
        case.label.unlink()
    assert [case.objects for case in foretell_fingerprint(dataset).cases] == [None] * 4


def test_more_are_looked_at_as_long_as_none_has_an_object(tmp_path):
    root = box_data.masks(tmp_path)
    size = box_data.SIZE
    for number in range(6):
        label = np.zeros((size,) * 3, np.uint8)
        if number == 5:
            label[3:6, 3:6, 3:8] = 1
        name = f"case{number}"
        box_data.volume(root / f"imagesTr/{name}.nii.gz", np.ones(label.shape, np.float32))
        box_data.volume(root / f"labelsTr/{name}.nii.gz", label)
    dataset = formats.read(
        root, format="folders", objects="components", options=FOLDERS, labels={"ball": 1}
    )
    found = few_objects(dataset)
    assert any(found) and [sizes for sizes in found if sizes] == [((0, 3.0, 3.0, 5.0),)]


FOLDERS = {"images_folder": "imagesTr", "labels_folder": "labelsTr"}
