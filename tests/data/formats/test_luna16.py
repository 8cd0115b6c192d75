"""LUNA16's scans and its tables of nodules."""

from __future__ import annotations

import numpy as np
import pytest

from medseg.data import formats
from medseg.data.prepare.headers import grid_of
from medseg.errors import InputError
from medseg.objects import ObjectRule

HEADER = "seriesuid,coordX,coordY,coordZ,diameter_mm"
ROWS = ["1.3.1,-100.5,67.25,-231.8,6.4", "1.3.1,50,-20,-100,12", "1.3.2,1,2,3,4.5"]


@pytest.fixture
def luna(tmp_path):
    def write(rows=ROWS, excluded=(), scans=("subset0/1.3.1", "subset1/1.3.2", "subset1/1.3.3")):
        for scan in scans:
            path = tmp_path / f"{scan}.mhd"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        (tmp_path / "annotations.csv").write_text("\n".join([HEADER, *rows]) + "\n")
        if excluded:
            table = tmp_path / "annotations_excluded.csv"
            table.write_text("\n".join([HEADER, *excluded]) + "\n")
        return tmp_path

    return write


def test_it_is_recognised_by_its_table(luna):
    root = luna()
    assert formats.recognise(root).format == "luna16"
    assert formats.recognise(root / "annotations.csv").format == "luna16"


def test_nodules_are_spheres_turned_from_lps_to_ras(luna):
    found = formats.read(luna())
    assert found.objects == ObjectRule("boxes") and found.channels == ("CT",)
    assert dict(found.labels.values) == {"background": 0, "nodule": 1}
    first = found.cases[0].annotation
    assert first.frame == "spheres" and first.classes == (0, 0)
    assert first.objects[0] == (100.5, -67.25, -231.8, 6.4)


def test_subsets_are_the_folds_and_scans_without_a_row_negatives(luna):
    found = formats.read(luna())
    assert [c.id for c in found.cases] == ["1.3.1", "1.3.2", "1.3.3"]
    assert found.cases[2].annotation.objects == ()
    assert found.splits == (
        {"train": ["1.3.2", "1.3.3"], "val": ["1.3.1"]},
        {"train": ["1.3.1"], "val": ["1.3.2", "1.3.3"]},
    )
    assert found.notes == ("1 scan without a nodule",)


def test_what_is_excluded_counts_in_no_score_even_without_a_size(luna):
    found = formats.read(
        luna(excluded=["1.3.2,10,20,30,-1", "1.3.2,1,1,1,3", "1.3.2,1,1,1,3", "1.3.2,2,2,2,0"])
    )
    assert found.cases[1].annotation.ignored == (
        (-10, -20, 30, 10.0),
        *[(-1, -1, 1, 3)] * 2,
        (-2, -2, 2, 10.0),
    )
    assert len(found.cases[1].annotation.objects) == 1
    assert "4 excluded findings, which count in no score" in found.notes


@pytest.mark.parametrize("row", ["1.3.2,nan,20,30,5", "1.3.2,10,20,30,inf"])
def test_what_is_excluded_nowhere_or_everywhere_is_refused(luna, row):
    with pytest.raises(InputError, match="line 2 has a coordinate that is no finite") as error:
        formats.read(luna(excluded=[row]))
    assert error.value.file.name == "annotations_excluded.csv"


def test_masks_of_lungs_are_no_scans(luna):
    root = luna(scans=("data/1.3.1", "seg-lungs-LUNA16/1.3.1"))
    assert [c.images[0].parent.name for c in formats.read(root).cases] == ["data"]


def test_a_part_of_the_collection_is_noted_and_none_of_it_refused(luna):
    root = luna(scans=("subset0/1.3.1",))
    assert "nodules of 1 image that are not here, left out" in formats.read(root).notes
    with pytest.raises(InputError, match="is of none of the images") as error:
        formats.read(luna(rows=["9.9,1,2,3,4"]))
    assert error.value.found == "9.9"


def test_a_table_without_any_scan_is_refused(luna):
    with pytest.raises(InputError, match="holds no image"):
        formats.read(luna(scans=()))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1.3.1,1,2,x,4", "line 5: coordZ is no number"),
        ("1.3.1,1,2,3", "line 5 has another number of cells"),
        ("1.3.1,1,2,3,0", "line 5 has no size"),
        ("1.3.1,1,2,3,-4", "line 5 has a negative size"),
        ("1.3.1,1,2,nan,4", "line 5 has a coordinate that is no finite number"),
        (ROWS[2], "line 5 is the same as line 4"),
        (",1,2,3,4", "line 5: seriesuid is empty"),
    ],
)
def test_a_wrong_row_is_refused_by_its_line(luna, row, words):
    with pytest.raises(InputError, match=words) as error:
        formats.read(luna(rows=[*ROWS, row]))
    assert error.value.file.name == "annotations.csv"


def test_the_scans_may_be_folders_of_dicom(luna, write_series):
    root = luna(scans=())
    write_series(root / "p1/ct", np.zeros((4, 4, 3)), series="1.3.1", patient="P7")
    (case,) = formats.read(root).cases
    assert case.id == "1.3.1" and case.images == (root / "p1/ct",) and case.group == "P7"


@pytest.fixture
def real_luna(real_data, tmp_path):
    """The real table beside the real, partial scans."""
    root = real_data("detection/lidc_stacks")
    (tmp_path / "annotations.csv").symlink_to(root / "luna_csv/annotations.csv")
    for folder in sorted((root / "small").iterdir()):
        (tmp_path / folder.name).mkdir()
        for path in sorted(folder.iterdir()):
            (tmp_path / folder.name / path.name).symlink_to(path)
    return tmp_path


@pytest.mark.parametrize(
    ("patient", "voxel", "lps", "diameter"),
    [
        ("LIDC-IDRI-0001", (316, 367, 7), (56.20840547, 86.34341278, -115.8675792), 23.35),
        ("LIDC-IDRI-0003", (367, 350, 5), (72.28670656, 76.90023946, -190.4589276), 21.45),
    ],
)
def test_the_known_nodules_fall_where_they_are_in_both_frames(
    real_luna, patient, voxel, lps, diameter
):
    found = formats.read(real_luna, format="luna16")
    (case,) = (c for c in found.cases if c.group == patient)
    grid = grid_of(case.images[0])
    boxes = case.annotation.boxes(grid)
    nearest = int(np.abs(boxes.centres - 0.5 - voxel).sum(axis=1).argmin())
    # The centre lies in this voxel, or within half a voxel of its middle.
    assert np.abs(boxes.centres[nearest] - 0.5 - voxel).max() <= 0.5
    world = boxes.to_world(grid)
    assert np.allclose(world.centres[nearest], (-lps[0], -lps[1], lps[2]), atol=1e-6)
    assert np.allclose(world.sizes[nearest], diameter, atol=0.01)
    assert any("that are not here" in note for note in found.notes)
