from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
from PIL import Image

from medseg.data.prepare.dicom import slices_of
from medseg.data.prepare.raw import load
from medseg.errors import InputError
from medseg.geometry.boxes import Boxes
from medseg.inference.detection import outputs
from medseg.inference.detection.found_file import read_boxes
from medseg.inference.detection.outlines import Outlined, outlined
from medseg.inference.detection.outputs import save_outputs
from medseg.inference.detection.result import Detections
from medseg.labels import LabelScheme

CUBE = Boxes([[2, 3, 1, 6, 7, 4]], scores=[0.5])


@pytest.fixture
def volume(tmp_path):
    path = tmp_path / "scan.nii.gz"
    affine = np.diag([0.7, 0.8, 2.5, 1])
    nibabel.save(nibabel.Nifti1Image(np.zeros((10, 12, 6), np.int16), affine), path)
    return path


def test_a_volume_has_boxes_markups_and_a_map(volume, tmp_path):
    found = Detections(CUBE, load(volume).grid, ("nodule",))
    files = save_outputs(found, tmp_path / "out", "scan", source=volume)
    names = ["scan.json", "scan_boxes.nii.gz", "scan.mrk.json"]
    assert [path.name for path in files] == names
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
    assert json.loads(files[0].read_text())["objects"][0]["score"] == 0.5
    numbered = nibabel.load(files[1])
    there = np.argwhere(np.asarray(numbered.dataobj) == 1)
    assert there.min(axis=0).tolist() == [2, 3, 1] and there.max(axis=0).tolist() == [5, 6, 3]
    assert np.allclose(numbered.affine, nibabel.load(volume).affine)


def test_a_picture_has_boxes_and_a_map(tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "cells.jpg")
    boxes = Boxes([[2, 3, 6, 9]], scores=[0.5])
    found = Detections(boxes, load(tmp_path / "cells.jpg").grid, ("cell",))
    files = save_outputs(found, tmp_path / "out", "cells", source=tmp_path / "cells.jpg")
    assert [path.name for path in files] == ["cells.json", "cells_boxes.png"]
    with Image.open(files[1]) as picture:
        assert np.asarray(picture)[2:6, 3:9].all() and np.asarray(picture).sum() == 24


def test_boxes_of_a_picture_are_also_said_in_pixels(tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "cells.png")
    found = Detections(Boxes([[2, 3, 6, 9]]), load(tmp_path / "cells.png").grid, ("cell",))
    save_outputs(found, tmp_path / "out", "cells", source=tmp_path / "cells.png")
    one = json.loads((tmp_path / "out" / "cells.json").read_text())["objects"][0]
    # Rows come first in voxels, x runs along the columns.
    assert one["voxels"] == {"lower": [2, 3], "upper": [6, 9]}
    assert one["pixels"] == {"x": 3, "y": 2, "width": 6, "height": 4}
    back = read_boxes(tmp_path / "out" / "cells.json")
    assert back.boxes.corners.tolist() == [[2, 3, 6, 9]]


def test_voxels_of_a_volume_are_not_called_pixels(volume, tmp_path):
    found = Detections(CUBE, load(volume).grid, ("nodule",))
    files = save_outputs(found, tmp_path / "out", "scan", source=volume)
    assert "pixels" not in json.loads(files[0].read_text())["objects"][0]
    with pytest.raises(InputError, match="of pictures"):
        found.to_dict(pixels=True)


def outlines(volume) -> Outlined:
    grid = load(volume).grid
    drawn = np.zeros(grid.shape, np.uint8)
    drawn[2:6, 3:7, 1:4] = 1
    return outlined(Detections(CUBE, grid, ("nodule",)), drawn, LabelScheme({"nodule": 1}))


def test_outlines_are_a_map_and_what_its_numbers_mean(volume, tmp_path):
    made = outlines(volume)
    files = save_outputs(made.objects, tmp_path / "out", "scan", source=volume, outlines=made)
    assert [path.name for path in files[-2:]] == ["scan_instances.nii.gz", "scan_instances.json"]
    numbered = nibabel.load(files[-2])
    assert np.array_equal(np.asarray(numbered.dataobj), made.map)
    assert np.allclose(numbered.affine, nibabel.load(volume).affine)
    assert json.loads(files[-1].read_text())["instances"][0]["value"] == 1


def test_outlines_of_an_earlier_prediction_go_with_its_boxes(volume, tmp_path):
    made = outlines(volume)
    save_outputs(made.objects, tmp_path / "out", "scan", source=volume, outlines=made)
    save_outputs(made.objects, tmp_path / "out", "scan", source=volume, overwrite=True)
    assert not list((tmp_path / "out").glob("*instances*"))


def test_nothing_is_removed_unasked(volume, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "scan_instances.json").write_text("mine")
    save_outputs(outlines(volume).objects, tmp_path / "out", "scan", source=volume)
    assert (tmp_path / "out" / "scan_instances.json").read_text() == "mine"


def test_where_one_file_fails_none_is_written(volume, tmp_path, monkeypatch):
    def full(found, path):
        raise OSError(28, "No space left on device")

    found = Detections(CUBE, load(volume).grid, ("nodule",))
    nothing = Detections(Boxes.none(3), found.grid, found.classes)
    save_outputs(found, tmp_path / "out", "scan", source=volume)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    monkeypatch.setattr(outputs, "save_markups", full)
    with pytest.raises(InputError, match="no space"):
        save_outputs(nothing, tmp_path / "out", "scan", source=volume, overwrite=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_what_is_there_is_not_replaced_unasked_and_nothing_else_written(volume, tmp_path):
    found = Detections(CUBE, load(volume).grid, ("nodule",))
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "scan.mrk.json").write_text("mine")
    with pytest.raises(InputError, match="the file exists"):
        save_outputs(found, folder, "scan", source=volume)
    assert [path.name for path in folder.iterdir()] == ["scan.mrk.json"]
    save_outputs(found, folder, "scan", source=volume, overwrite=True)
    assert (folder / "scan.mrk.json").read_text() != "mine"


@pytest.mark.parametrize(("wanted", "installed"), [(True, True), (True, False), (False, True)])
def test_a_dicom_series_has_a_report_too(real_data, tmp_path, monkeypatch, wanted, installed):
    pytest.importorskip("highdicom")
    series = real_data("detection/lidc_stacks/small/LIDC-IDRI-0003")
    if not installed:
        monkeypatch.setattr(outputs, "find_spec", lambda name: None)
    found = Detections(CUBE, slices_of(series).grid, ("nodule",))
    files = save_outputs(found, tmp_path, "p3", source=series, dicom_report=wanted)
    names = ["p3.json", "p3_boxes.nii.gz", "p3.mrk.json", "p3.dcm"]
    assert [path.name for path in files] == names[: 4 if wanted and installed else 3]
    assert all(path.stat().st_size for path in files)
