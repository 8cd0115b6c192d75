from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from medseg.data import formats
from medseg.data.prepare.dicom import slices_of
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.geometry.boxes import Boxes, WorldBoxes
from medseg.inference.detection.dicom_codes import private
from medseg.inference.detection.dicom_sr import ellipsoids, report, save_report
from medseg.inference.detection.result import Detections

pydicom = pytest.importorskip("pydicom")
highdicom = pytest.importorskip("highdicom")

LPS = np.array([-1.0, -1.0, 1.0])
FRAME = "1.2.3.77"
SHAPE = (20, 16, 6)


@pytest.fixture
def series(tmp_path):
    """Give a function that writes slices of nothing, oblique, with headers as a scanner's."""

    def write(*, tilt: float = 0.0, **changed: str | None) -> Path:
        folder = tmp_path / "series"
        folder.mkdir()
        turned = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
        normal = np.cross(turned[:, 0], turned[:, 1])
        step = 2.5 * normal + tilt * turned[:, 1]
        for k in range(SHAPE[2]):
            one = pydicom.Dataset()
            one.SOPClassUID, one.SOPInstanceUID = pydicom.uid.CTImageStorage, f"1.2.3.{k + 1}"
            one.StudyInstanceUID, one.SeriesInstanceUID = "1.2.4", "1.2.5"
            one.FrameOfReferenceUID = FRAME
            one.Modality, one.PatientID, one.PatientName = "CT", "P7", "Müller^Anna"
            one.SpecificCharacterSet = "ISO_IR 100"
            one.ImagePositionPatient = [round(x, 6) for x in (-30, 40, 7) + k * step]
            one.ImageOrientationPatient = [round(x, 9) for x in turned[:, :2].T.ravel()]
            one.PixelSpacing, one.SliceThickness = [0.75, 0.5], 2.5
            one.Columns, one.Rows = SHAPE[:2]
            one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
            one.BitsAllocated, one.BitsStored, one.HighBit = 16, 16, 15
            one.PixelRepresentation = 1
            one.PixelData = np.zeros(SHAPE[:2], np.int16).tobytes()
            for name, value in changed.items():
                if value is None:
                    delattr(one, name)
                else:
                    setattr(one, name, value)
            one.file_meta = pydicom.dataset.FileMetaDataset()
            one.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
            one.save_as(folder / f"{k}.dcm", enforce_file_format=True)
        return folder

    return write


def found(folder: Path, *, classes=("nodule", "Läsion, unklar (groß)")) -> Detections:
    boxes = Boxes([[3, 4, 1, 9, 10.5, 4], [10, 2, 0, 16.25, 5, 6]], [1, 0], [0.9, 0.256])
    return Detections(boxes, slices_of(folder).grid, classes)


def written(*args, path: Path, **options):
    save_report(*args, path, **options)
    return highdicom.sr.srread(path)


def measured(group) -> dict[str, tuple[float, str]]:
    return {m.name.meaning: (m.value, m.unit.value) for m in group.get_measurements()}


def ends_of(group) -> np.ndarray:
    """Axes ``(3, end, 3)`` of a group's ellipsoid, in RAS."""
    item, _ = group.roi  # the surface, and the series that it is of
    assert item.graphic_type.value == "ELLIPSOID"
    assert item.frame_of_reference_uid == FRAME
    return item.value.reshape(3, 2, 3) * LPS


def test_each_object_is_an_ellipsoid_that_fills_its_box(series, tmp_path):
    folder = series()
    one = found(folder)
    document = written(one, folder, path=tmp_path / "a.dcm")
    groups = document.content.get_volumetric_roi_measurement_groups()
    world = one.to_world()
    for number, group in enumerate(groups):
        ends = ends_of(group)
        assert np.allclose(ends.mean(axis=1), world.centres[number], atol=1e-4)
        expected = world.directions.T * world.sizes[number][:, None]
        assert np.allclose(ends[:, 1] - ends[:, 0], expected, atol=1e-4)
    assert len(groups) == 2
    sizes = [
        (0.5 * 6 * 0.75 * 6.5 * 2.5 * 3) ** (1 / 3),
        (0.5 * 6.25 * 0.75 * 3 * 2.5 * 6) ** (1 / 3),
    ]
    for group, size, score in zip(groups, sizes, (90, 25.6), strict=True):
        values = measured(group)
        assert values["Diameter"] == (pytest.approx(size, rel=1e-5), "mm")
        assert values["Certainty of Finding"] == (pytest.approx(score), "%")


def test_a_polygon_is_the_outline_of_the_box_in_the_middle_slice(series, tmp_path):
    folder = series()
    one = found(folder)
    document = written(one, folder, path=tmp_path / "a.dcm", region="polygon")
    groups = document.content.get_planar_roi_measurement_groups()
    inverse = np.linalg.inv(one.grid.affine)
    for group, box, k in zip(groups, one.boxes.corners, (2, 3), strict=True):
        points = group.roi.value * LPS
        edges = points @ inverse[:3, :3].T + inverse[:3, 3] + 0.5
        assert np.allclose(edges[0], edges[-1]) and np.allclose(edges[:, 2], k + 0.5, atol=1e-4)
        assert np.allclose(edges.min(axis=0)[:2], box[:2], atol=1e-3)
        assert np.allclose(edges.max(axis=0)[:2], box[3:5], atol=1e-3)


def test_known_classes_have_standard_codes_and_others_private_ones(series, tmp_path):
    folder = series()
    given = {"nodule": ("308689002", "SCT", "Coin lesion of lung")}
    plain = written(found(folder), folder, path=tmp_path / "a.dcm")
    told = written(found(folder), folder, path=tmp_path / "b.dcm", codes=given)
    codes = [
        [(c.value, c.scheme_designator, c.meaning) for c in (g.finding_type for g in groups)]
        for groups in (d.content.get_volumetric_roi_measurement_groups() for d in (plain, told))
    ]
    name = "Läsion, unklar (groß)"
    assert codes[0] == [(name, "99MEDSEG", name), ("27925004", "SCT", "Nodule")]
    assert codes[1][1] == given["nodule"]
    assert plain.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99MEDSEG"


def test_a_private_code_is_one_value_of_a_length_that_dicom_takes():
    code = private("a\\b " + "long " * 20)
    assert code.value.startswith("a/b long") and len(code.meaning) == 64
    assert code.scheme_designator == "99MEDSEG"


def test_the_report_belongs_to_the_patient_and_names_what_it_saw(series, tmp_path):
    folder = series()
    path = tmp_path / "a.dcm"
    save_report(found(folder), folder, path, algorithm="lungs", parameters=["run: quick"])
    document = pydicom.dcmread(path)
    assert document.SOPClassUID == pydicom.uid.Comprehensive3DSRStorage
    assert (document.PatientID, str(document.PatientName)) == ("P7", "Müller^Anna")
    assert document.StudyInstanceUID == "1.2.4" and document.SeriesInstanceUID != "1.2.5"
    assert (document.VerificationFlag, document.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    (referred,) = study.ReferencedSeriesSequence
    uids = [item.ReferencedSOPInstanceUID for item in referred.ReferencedSOPSequence]
    assert sorted(uids) == [f"1.2.3.{k + 1}" for k in range(SHAPE[2])]
    group = document.ContentSequence[-1].ContentSequence[0].ContentSequence
    texts = {i.ConceptNameCodeSequence[0].CodeMeaning: i.get("TextValue") for i in group}
    assert texts["Algorithm Name"] == "lungs" and texts["Algorithm Parameters"] == "run: quick"
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["a.dcm"]


def test_a_report_of_nothing_says_so_for_each_class(series, tmp_path):
    folder = series()
    document = written(found(folder).at_least(0.99), folder, path=tmp_path / "a.dcm")
    assert not document.content.get_volumetric_roi_measurement_groups()
    groups = document.content.get_image_measurement_groups()
    assert [g.finding_type.meaning for g in groups] == ["Nodule", "Läsion, unklar (groß)"]
    assert all(measured(g) == {"Number of objects found": (0, "1")} for g in groups)


def test_under_a_tilted_gantry_the_axes_stay_at_right_angles(series, tmp_path):
    folder = series(tilt=1.0)
    one = found(folder)
    (group, _) = written(
        one, folder, path=tmp_path / "a.dcm"
    ).content.get_volumetric_roi_measurement_groups()
    half = np.diff(ends_of(group), axis=1)[:, 0] / 2
    assert np.allclose(half @ half.T, np.diag((half**2).sum(axis=1)), atol=1e-3)
    # The ellipsoid touches the faces of the box: along a face's normal it reaches as far.
    world = one.to_world()
    spanned = world.directions * world.sizes[0] / 2
    for normal in np.linalg.inv(spanned):
        assert np.linalg.norm(half @ normal) == pytest.approx(1, abs=1e-3)


def test_a_sphere_has_its_diameter_along_every_axis():
    sphere = WorldBoxes(np.array([[1.0, 2, 3]]), np.full((1, 3), 8.0), np.eye(3), np.zeros(1))
    (ends,) = ellipsoids(sphere)
    assert np.allclose(np.linalg.norm(ends - [1, 2, 3], axis=1), 4)


def test_a_series_that_was_not_predicted_is_refused(series):
    folder = series()
    one = found(folder)
    moved = one.grid.affine.copy()
    moved[0, 3] += 5
    with pytest.raises(InputError, match="not the one") as error:
        report(Detections(one.boxes, Grid(SHAPE, moved), one.classes), folder)
    assert "5 mm apart" in error.value.found


@pytest.mark.parametrize("name", ["scan.nii.gz", "not_there"])
def test_what_is_no_series_is_refused(tmp_path, name):
    (tmp_path / "scan.nii.gz").write_bytes(b"")
    one = Detections(Boxes.none(3), Grid.from_spacing(SHAPE), ("nodule",))
    with pytest.raises(InputError, match="no folder of DICOM"):
        report(one, tmp_path / name)


def test_headers_that_hide_what_they_belong_to_are_refused(series):
    folder = series(FrameOfReferenceUID=None)
    with pytest.raises(InputError, match="header lacks") as error:
        report(found(folder), folder)
    assert error.value.expected == "FrameOfReferenceUID"


def test_an_unknown_region_and_a_missing_library_are_said(series, monkeypatch):
    folder = series()
    with pytest.raises(InputError, match="no region 'cube'"):
        report(found(folder), folder, region="cube")
    monkeypatch.setitem(sys.modules, "highdicom.sr", None)
    with pytest.raises(InputError, match="not installed") as error:
        report(found(folder), folder)
    assert "medseg[dicom]" in error.value.remedy


@pytest.mark.parametrize("patient", ["LIDC-IDRI-0001", "LIDC-IDRI-0003"])
def test_real_nodules_come_back_where_they_are(real_data, tmp_path, patient):
    dataset = formats.read(real_data("detection/lidc_stacks"))
    (case,) = (c for c in dataset.cases if c.id == patient)
    folder = case.images[0]
    grid = slices_of(folder).grid
    boxes = case.annotation.boxes(grid)
    boxes = Boxes(boxes.corners, boxes.classes, np.linspace(0.9, 0.5, len(boxes)))
    one = Detections(boxes, grid, ("nodule",))
    document = written(one, folder, path=tmp_path / "a.dcm")
    header = pydicom.dcmread(next(folder.glob("*.dcm")), stop_before_pixels=True)
    assert document.PatientID == patient
    groups = document.content.get_volumetric_roi_measurement_groups()
    assert len(groups) == len(boxes) > 0
    world = one.to_world()
    for group, centre, size in zip(groups, world.centres, world.sizes, strict=True):
        item, _ = group.roi  # the surface, and the series that it is of
        assert item.frame_of_reference_uid == header.FrameOfReferenceUID
        ends = item.value.reshape(3, 2, 3) * LPS
        assert np.allclose(ends.mean(axis=1), centre, atol=1e-3)
        assert np.allclose(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1), size, atol=1e-3)
