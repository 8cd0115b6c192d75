"""LIDC-IDRI: scans as DICOM, readings as XML."""

from __future__ import annotations

import numpy as np
import pytest

from medseg.data import formats
from medseg.data.formats.lidc import read_document
from medseg.data.prepare.headers import grid_of
from medseg.errors import InputError
from medseg.objects import ObjectRule


def roi(z, points, inclusion="TRUE"):
    edges = "".join(
        f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in points
    )
    return (
        f"<roi><imageZposition>{z} </imageZposition><inclusion>{inclusion}</inclusion>{edges}</roi>"
    )


def square(x, y, size):
    return [(x, y), (x + size, y), (x + size, y + size), (x, y + size)]


def nodule(*rois):
    return f"<unblindedReadNodule><noduleID>7</noduleID>{''.join(rois)}</unblindedReadNodule>"


def session(*nodules):
    return f"<readingSession>{''.join(nodules)}</readingSession>"


def message(uid, *sessions):
    return (
        '<?xml version="1.0"?><LidcReadMessage xmlns="http://www.nih.gov"><ResponseHeader>'
        f"<SeriesInstanceUid>{uid}</SeriesInstanceUid></ResponseHeader>{''.join(sessions)}"
        "</LidcReadMessage>"
    )


# Outlines from 1 to 9: the inside is [2, 9); from 3 to 9: [4, 9). Both in the slice at 2.5 mm.
AGREED = message(
    "1.1",
    session(nodule(roi(0.0, square(1, 1, 8)), roi(2.5, square(1, 1, 8)))),
    session(nodule(roi(2.5, square(3, 3, 6)), roi(5.0, square(3, 3, 6)))),
)


@pytest.fixture
def lidc(tmp_path, write_series):
    def write(readings, *, beside=False, scans=(("P1", "1.1"),)):
        for patient, uid in scans:
            folder = tmp_path / f"LIDC-IDRI/{patient}/1.9/{uid}"
            write_series(folder, np.zeros((12, 12, 3)), series=uid, patient=patient)
        for number, text in enumerate(readings):
            folder = tmp_path / ("LIDC-IDRI/P1/1.9/1.1" if beside else "tcia-lidc-xml/157")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number:03d}.xml").write_text(text)
        return tmp_path

    return write


@pytest.mark.parametrize("beside", [True, False])
def test_scans_and_readings_find_each_other_wherever_they_lie(lidc, beside):
    root = lidc([AGREED], beside=beside)
    assert formats.recognise(root).format == "lidc"
    found = formats.read(root)
    assert found.objects == ObjectRule("boxes") and found.labels.foreground == ("nodule",)
    (case,) = found.cases
    assert case.id == case.group == "P1" and case.images[0].name == "1.1"
    assert case.annotation.file.name == "000.xml"


def test_the_box_is_where_two_readers_agree(lidc):
    (case,) = formats.read(lidc([AGREED])).cases
    assert case.annotation.objects == ((4, 4, 2.5, 9, 9, 2.5),)
    boxes = case.annotation.boxes(grid_of(case.images[0]))
    assert boxes.corners.tolist() == [[4, 4, 1, 9, 9, 2]]


def test_holes_are_no_part_of_a_nodule(tmp_path):
    path = tmp_path / "a.xml"
    rois = (roi(0.0, square(0, 0, 10)), roi(0.0, square(0, 0, 6), "FALSE"))
    path.write_text(
        message("1", session(nodule(*rois)), session(nodule(roi(0.0, square(0, 0, 5)))))
    )
    reading = read_document(path)
    # What the second reader marked lies in the first one's hole: nobody agrees.
    assert reading.nodules == [] and len(reading.alone) == 2


def test_points_are_noted(lidc):
    point = nodule(roi(2.5, [(5, 5)]))
    other = "<nonNodule><imageZposition>1</imageZposition></nonNodule>"
    more = AGREED.replace("<readingSession>", f"<readingSession>{other}{point}", 1)
    found = formats.read(lidc([more]))
    assert len(found.cases[0].annotation.objects) == 1
    assert "2 marks of nodules below 3 mm and of other findings, left out" in found.notes


def test_a_nodule_of_one_reader_counts_in_no_score(lidc):
    text = message("1.1", session(nodule(roi(0.0, square(1, 1, 8)))))
    found = formats.read(lidc([text]))
    assert found.cases[0].annotation.objects == ()
    assert found.cases[0].annotation.ignored == ((2, 2, 0.0, 9, 9, 0.0),)
    assert any("1 nodule on which fewer than 2 readers agree" in note for note in found.notes)
    assert any("1 scan without a nodule: P1" in note for note in found.notes)


def test_a_scan_without_a_reading_is_left_out_of_the_training(lidc):
    found = formats.read(lidc([AGREED], scans=(("P1", "1.1"), ("P2", "1.2"))))
    assert [c.id for c in found.cases] == ["P1"]
    assert [c.id for c in found.unlabelled] == ["P2"]
    assert "1 scan without a reading: P2" in found.notes


def test_two_scans_of_a_patient_have_ids_of_their_own_and_one_group(lidc):
    found = formats.read(lidc([AGREED], scans=(("P1", "1.1"), ("P1", "1.2"))))
    cases = (*found.cases, *found.unlabelled)
    assert [c.id for c in cases] == ["P1_1.1", "P1_1.2"] and {c.group for c in cases} == {"P1"}


def test_xrays_are_left_out(lidc, write_series):
    root = lidc([AGREED])
    write_series(root / "LIDC-IDRI/P9/1/2", np.zeros((4, 4, 1)), series="8", modality="DX")
    found = formats.read(root)
    assert len(found.cases) == 1 and found.unlabelled == ()


def test_readings_of_other_scans_are_noted(lidc):
    found = formats.read(lidc([AGREED, AGREED.replace(">1.1<", ">5.5<")]))
    assert "readings of 1 image that are not here, left out" in found.notes


def test_readings_of_no_scan_are_refused(lidc):
    with pytest.raises(InputError, match="no scan with its reading") as error:
        formats.read(lidc([AGREED.replace(">1.1<", ">5.5<")]))
    assert error.value.found == "1 series of CT, 1 reading of others"


def test_a_copy_is_no_second_reading_but_another_text_is(lidc):
    assert len(formats.read(lidc([AGREED, AGREED])).cases) == 1
    other = message("1.1", session(nodule(roi(0.0, square(1, 1, 8)))))
    with pytest.raises(InputError, match="another file is of"):
        formats.read(lidc([AGREED, other]))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("</LidcReadMessage>", "", "well-formed"),
        ("<SeriesInstanceUid>1.1</SeriesInstanceUid>", "", "has no <ResponseHeader/Series"),
        ("<xCoord>1</xCoord>", "<xCoord>1.5</xCoord>", "nodule 7 of reader 1 .* no pixel"),
        ("<xCoord>1</xCoord>", "<xCoord>99999999</xCoord>", "outside of any image"),
        ("<imageZposition>0.0 ", "<imageZposition>up ", "nodule 7 of reader 1: .* no number"),
        ("<imageZposition>0.0 ", "<imageZposition>nan ", "nodule 7 of reader 1 lies at no place"),
        ("<LidcReadMessage", '<!DOCTYPE a [<!ENTITY e "x">]><LidcReadMessage', "document type"),
    ],
)
def test_a_damaged_reading_says_what_is_wrong(lidc, old, new, words):
    with pytest.raises(InputError, match=words) as error:
        formats.read(lidc([AGREED.replace(old, new, 1)]), format="lidc")
    assert error.value.file.name == "000.xml"


@pytest.mark.parametrize("content", [b"", b"AGREED", bytes(range(256))])
def test_what_is_called_xml_and_is_none_is_no_scan_without_a_reading(lidc, content):
    root = lidc([AGREED])
    (root / "tcia-lidc-xml/157/001.xml").write_bytes(content)
    with pytest.raises(InputError, match="is no XML") as error:
        formats.read(root)
    assert error.value.file.name == "001.xml" and "bytes" in error.value.found


def test_other_xml_is_passed_over(lidc):
    root = lidc([AGREED])
    (root / "tcia-lidc-xml/157/001.xml").write_text("<other/>")
    assert len(formats.read(root).cases) == 1


def test_scans_are_grouped_for_prediction_by_their_folders(lidc):
    root = lidc([AGREED], scans=(("P1", "1.1"), ("P2", "1.2")))
    found = formats.group([root / "LIDC-IDRI"], format="lidc", channels=("CT",))
    assert [c.id for c in found] == ["1.1", "1.2"]


@pytest.mark.parametrize(
    ("patient", "voxel", "diameter"),
    [("LIDC-IDRI-0001", (316, 367, 7), 23.35), ("LIDC-IDRI-0003", (367, 350, 5), 21.45)],
)
def test_readers_agree_on_the_known_nodules(real_data, patient, voxel, diameter):
    found = formats.read(real_data("detection/lidc_stacks"))
    assert found.format == "lidc"
    (case,) = (c for c in found.cases if c.id == patient)
    grid = grid_of(case.images[0])
    boxes = case.annotation.boxes(grid)
    around = [
        number
        for number in range(len(boxes))
        if np.all(boxes.lower[number] <= voxel) and np.all(boxes.upper[number] > voxel)
    ]
    assert len(around) == 1
    # A sphere of the diameter that LUNA16 gives has about the extent of what two readers share.
    world = boxes.to_world(grid)
    size = world.sizes[around[0]]
    assert np.cbrt(size.prod()) == pytest.approx(diameter, rel=0.15)
    ras = grid.affine @ (*voxel, 1)
    assert np.abs(world.centres[around[0]] - ras[:3]).max() < 4


def test_real_outlines_agree_with_the_published_boxes(real_data):
    """`annotations_with_malignancy.csv` gives the outlines' extent: about a pixel more each way."""
    found = formats.read(real_data("detection/lidc_stacks"))
    (case,) = (c for c in found.cases if c.id == "LIDC-IDRI-0001")
    grid = grid_of(case.images[0])
    (box,) = case.annotation.boxes(grid).corners
    low, high = (43.53125, 68.768753, -125.0), (70.953125, 101.112503, -107.5)
    inverse = np.linalg.inv(grid.affine)
    first, last = (inverse @ (-x, -y, z, 1) for x, y, z in (low, high))
    assert np.allclose(first[:3], (box[0] - 1, box[1] - 1, box[2]), atol=(1.01, 1.01, 0.01))
    assert np.allclose(last[:3], (box[3], box[4], box[5] - 1), atol=(1.01, 1.01, 0.01))
