"""Boxes as a DICOM structured report, which lies in the archive beside the series they are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

import medseg
from medseg.atomic import replacing
from medseg.data.formats.series import is_series
from medseg.data.prepare.dicom import slices_of
from medseg.data.prepare.itk import LPS_TO_RAS
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.geometry.box_iou import box_diameters
from medseg.geometry.boxes import WorldBoxes
from medseg.inference.detection.dicom_codes import SCHEME, code_of, private
from medseg.inference.detection.result import Detections

if TYPE_CHECKING:
    from highdicom.sr import Comprehensive3DSR
    from pydicom import Dataset

Region = Literal["ellipsoid", "polygon"]
Codes = Mapping[str, tuple[str, str, str]]

_SERIES_NUMBER = 9001
# What a report is bound to, and what it copies, be it empty.
_NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_COPIED = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("AccessionNumber", "StudyID", "StudyDate", "StudyTime"),
)
# A turn of a hundredth of a degree; beyond it the gantry was tilted.
_RIGHT_ANGLE = 2e-4


def report(
    found: Detections,
    series: Path | str,
    *,
    region: Region = "ellipsoid",
    codes: Codes | None = None,
    algorithm: str = "medseg",
    parameters: Sequence[str] = (),
) -> Comprehensive3DSR:
    """Describe what was found in a DICOM series as a Comprehensive 3D SR of template TID 1500.

    Each object is a measurement group: where it is (SCOORD3D: mm, LPS, in the series' frame of
    reference), what it is, its diameter in mm (as `medseg.geometry.box_iou.box_diameters`) and how
    sure the network is ("Certainty of Finding", score · 100 %). Where nothing was found, a group
    for each class says so. The report is preliminary and unverified.

    Args:
        found: on the grid of the series.
        series: folder of the DICOM files that the network saw.
        region: ``ellipsoid`` (TID 1411) is the one that fills the box; ``polygon`` (TID 1410) is
            the outline of the box in the slice that its middle lies in.
        codes: class -> code, scheme and meaning. Others have SNOMED CT's code where one is known
            and a private one, ``99MEDSEG``, where none is.
        algorithm: name of what found them; the version is that of medseg.
        parameters: what else is to be known of it, such as the name of the run.

    Raises:
        InputError: highdicom is missing, the folder is no sound series (see
            `medseg.data.prepare.dicom.slices_of`) or not the one of ``found``, or its headers lack
            what a report is bound to.
    """
    _require_highdicom()
    from highdicom import UID
    from highdicom.sr import AlgorithmIdentification, Comprehensive3DSR

    if region not in get_args(Region):
        raise InputError(f"there is no region {region!r}", expected=" or ".join(get_args(Region)))
    headers = _headers(Path(series), found.grid)
    tool = AlgorithmIdentification(
        algorithm, medseg.__version__, parameters=list(parameters) or None
    )
    groups = _groups(found, headers[0], region, codes, tool) or _nothing(found, codes, tool)
    document = Comprehensive3DSR(
        evidence=headers,
        content=_content(groups, headers[0], algorithm),
        series_instance_uid=UID(),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer="medseg",
        manufacturer_model_name=algorithm,
        software_versions=medseg.__version__,
        series_description=f"{algorithm}: objects found",
        is_complete=True,
        # Names of classes are not bound to the alphabet of the series.
        specific_character_set="ISO_IR 192",
    )
    document.CodingSchemeIdentificationSequence = [_scheme()]
    return document


def save_report(found: Detections, series: Path | str, path: Path | str, **options: Any) -> None:
    """Write `report` as a DICOM file; takes its options and raises as it does."""
    document = report(found, series, **options)
    with replacing(Path(path)) as temporary:
        document.save_as(temporary, enforce_file_format=True)


def ellipsoids(boxes: WorldBoxes) -> np.ndarray:
    """Return the ends ``(N, 6, 3)`` of the axes of the ellipsoids that fill boxes, mm, RAS.

    Along the boxes' own axes. Those of a tilted gantry are not at right angles, as an ellipsoid's
    must be: there they are the principal axes of the same ellipsoid.
    """
    half = boxes.directions[None] * boxes.sizes[:, None, :] / 2
    angles = boxes.directions.T @ boxes.directions
    if np.abs(angles - np.eye(len(angles))).max() > _RIGHT_ANGLE:
        turned, lengths, _ = np.linalg.svd(half)
        half = turned * lengths[:, None, :]
    ends = np.stack([-half, half], axis=-1)  # (N, 3, axis, end)
    ends = ends.transpose(0, 2, 3, 1).reshape(len(boxes), 6, 3)
    return boxes.centres[:, None] + ends


def outlines(found: Detections) -> np.ndarray:
    """Return closed rectangles ``(N, 5, 3)`` in the slices that hold the boxes' middles, mm, RAS.

    Their corners are the edges of the box, their plane that of the slice's centres.
    """
    boxes, grid = found.boxes, found.grid
    middle = np.clip(np.floor(boxes.centres[:, 2]), 0, grid.shape[2] - 1) + 0.5
    (i0, j0, _), (i1, j1, _) = boxes.lower.T, boxes.upper.T
    round_trip = ((i0, j0), (i1, j0), (i1, j1), (i0, j1), (i0, j0))
    edges = np.stack([np.stack([i, j, middle], axis=1) for i, j in round_trip], axis=1)
    # The centre of voxel i is at i + 0.5 in edges, and at i in the affine.
    return (edges - 0.5) @ grid.affine[:3, :3].T + grid.affine[:3, 3]


def _groups(
    found: Detections, header: Dataset, region: Region, codes: Codes | None, tool: Any
) -> list[Any]:
    """Make a measurement group of each object."""
    from highdicom.sr import (
        ImageRegion3D,
        PlanarROIMeasurementsAndQualitativeEvaluations,
        SourceSeriesForSegmentation,
        TrackingIdentifier,
        VolumeSurface,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

    ras = ellipsoids(found.to_world()) if region == "ellipsoid" else outlines(found)
    frame = header.FrameOfReferenceUID
    diameters = box_diameters(found.boxes.corners, found.grid.spacing)
    rows = zip(found.names, found.scores, diameters, ras @ LPS_TO_RAS.T, strict=True)
    groups: list[Any] = []
    for number, (name, score, diameter, points) in enumerate(rows, start=1):
        what = {
            "tracking_identifier": TrackingIdentifier(identifier=f"{name} {number}"),
            "finding_type": code_of(name, codes),
            "algorithm_id": tool,
            "measurements": _measurements(float(diameter), float(score)),
        }
        if region == "ellipsoid":
            source = SourceSeriesForSegmentation(header.SeriesInstanceUID)
            surface = VolumeSurface("ELLIPSOID", [points], frame, source_series=source)
            groups.append(
                VolumetricROIMeasurementsAndQualitativeEvaluations(
                    referenced_volume_surface=surface, **what
                )
            )
        else:
            outline = ImageRegion3D("POLYGON", points, frame)
            groups.append(
                PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=outline, **what)
            )
    return groups


def _measurements(diameter: float, score: float) -> list[Any]:
    from highdicom.sr import Measurement
    from pydicom.sr.codedict import codes

    return [
        Measurement(codes.SCT.Diameter, diameter, codes.UCUM.Millimeter),
        Measurement(codes.DCM.CertaintyOfFinding, 100 * score, codes.UCUM.Percent),
    ]


def _nothing(found: Detections, codes: Codes | None, tool: Any) -> list[Any]:
    """Make a group for each class that says that none was found: a report needs one."""
    from highdicom.sr import (
        Measurement,
        MeasurementsAndQualitativeEvaluations,
        TrackingIdentifier,
    )
    from pydicom.sr.codedict import codes as standard

    count = private("objects", "Number of objects found")
    return [
        MeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(identifier=f"all {name}"),
            finding_type=code_of(name, codes),
            algorithm_id=tool,
            measurements=[Measurement(count, 0, standard.UCUM.NoUnits)],
        )
        for name in found.classes
    ]


def _content(groups: Sequence[Any], header: Dataset, algorithm: str) -> Any:
    """Say who observed what, and what was found."""
    from highdicom.sr import (
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    # One device for each version, wherever it runs.
    device = generate_uid(entropy_srcs=["medseg", algorithm, medseg.__version__])
    observer = ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=device, name=algorithm, manufacturer_name="medseg"
        ),
    )
    procedures = {"CT": codes.LN.CTUnspecifiedBodyRegion, "MR": codes.LN.MRIUnspecifiedBodyRegion}
    return MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=procedures.get(header.get("Modality", ""), codes.SCT.ImagingProcedure),
        imaging_measurements=groups,
    )


def _headers(series: Path, grid: Grid) -> list[Dataset]:
    """Read the headers of the series, which must lie on the grid."""
    from pydicom import dcmread

    if not is_series(series):
        raise InputError("is no folder of DICOM files", file=series)
    slices = slices_of(series)
    if difference := grid.mismatch(slices.grid):
        raise InputError(
            "the series is not the one that the objects were found in",
            file=series,
            expected="the grid of the prediction",
            found=difference,
            remedy="name the folder that was predicted",
        )
    headers: list[Dataset] = [dcmread(file, stop_before_pixels=True) for file in slices.files]
    for file, header in zip(slices.files, headers, strict=True):
        missing = [key for key in (*_NEEDED, "FrameOfReferenceUID") if not header.get(key)]
        if missing:
            raise InputError(
                "the header lacks what a report refers to",
                file=file,
                expected=", ".join(missing),
                remedy="export the series from the archive again, without removing these",
            )
        for key in _COPIED:
            if key not in header:
                setattr(header, key, "")
    return headers


def _scheme() -> Dataset:
    from pydicom import Dataset

    scheme = Dataset()
    scheme.CodingSchemeDesignator = SCHEME
    scheme.CodingSchemeName = "Classes of medseg's data sets"
    return scheme


def _require_highdicom() -> None:
    try:
        import highdicom.sr  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError(
            "writing DICOM reports needs a library that is not installed",
            found=f"no {error.name}",
            remedy="pip install 'medseg[dicom]', or pip install highdicom",
        ) from error
