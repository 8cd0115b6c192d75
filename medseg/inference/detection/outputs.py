"""What was found in a case in every form that its image allows."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from medseg.atomic import cannot_write, flush, signature
from medseg.data.formats.series import is_series
from medseg.data.prepare.raw import PICTURES, suffix
from medseg.data.prepare.writing import mask_suffix, refuse_existing, write_label
from medseg.errors import InputError
from medseg.inference.detection.dicom_sr import save_report
from medseg.inference.detection.label_map import label_map
from medseg.inference.detection.outlines import Outlined
from medseg.inference.detection.result import Detections
from medseg.inference.detection.slicer import save_markups


class Outputs(NamedTuple):
    """The files that a case may have.

    Attributes:
        boxes: all of them, in voxels and in mm.
        label_map: a map of their numbers.
        markups: of a volume, for 3D Slicer.
        report: of a DICOM series, where highdicom is installed.
        instances: a map of the numbers of objects with outlines.
        instance_table: what these numbers mean.
    """

    boxes: Path
    label_map: Path
    markups: Path
    report: Path
    instances: Path
    instance_table: Path


def outputs_of(folder: Path, name: str, source: Path) -> Outputs:
    """Name the files of a case; which of them there are depends on its image and on what is asked.

    Args:
        folder: where they lie.
        name: of the case.
        source: the image, or the first of its channels.
    """
    kind = mask_suffix(source)
    endings = (".json", f"_boxes{kind}", ".mrk.json", ".dcm", f"_instances{kind}")
    return Outputs(*(folder / f"{name}{end}" for end in (*endings, "_instances.json")))


def can_be_reported(source: Path) -> bool:
    """Tell whether an image has a DICOM report: it is a series, and highdicom is installed."""
    return is_series(source) and find_spec("highdicom") is not None


def save_outputs(
    found: Detections,
    folder: Path | str,
    name: str,
    *,
    source: Path | str,
    outlines: Outlined | None = None,
    overwrite: bool = False,
    dicom_report: bool = True,
    algorithm: str = "medseg",
    codes: Mapping[str, tuple[str, str, str]] | None = None,
    unreported: Callable[[InputError], None] | None = None,
) -> list[Path]:
    """Write ``NAME.json``, ``NAME_boxes`` (a map of numbers), and what else the image has room for.

    Of a volume also ``NAME.mrk.json`` for 3D Slicer. Of a DICOM series also ``NAME.dcm``, a
    structured report, where highdicom is installed (``medseg[dicom]``). With ``outlines`` also
    ``NAME_instances``, a map of the objects' numbers, and ``NAME_instances.json``, which says what
    they mean. All of them are written, or none is.

    Args:
        found: on the grid of the image.
        folder: made if it is not there.
        name: of the case.
        source: the image, or the first of its channels.
        outlines: of the objects, see `medseg.inference.detection.Detector.instances`.
        overwrite: replace files that are there.
        dicom_report: write the report where that is possible.
        algorithm: name of what found them, for the report.
        codes: concepts of classes for the report, see `medseg.inference.detection.dicom_sr`.
        unreported: is told why there is no report of a series whose headers do not allow one;
            ``None``: that is an error.

    Returns:
        the files.

    Raises:
        InputError: one of the files exists, cannot be written, or the series does not say what a
            report refers to.
    """
    folder, source = Path(folder), Path(source)
    to = outputs_of(folder, name, source)
    volume = found.grid.ndim == 3
    wanted = [to.boxes, to.label_map] + [to.markups] * volume
    wanted += [to.report] * (dicom_report and can_be_reported(source))
    wanted += [to.instances, to.instance_table] * (outlines is not None)
    for path in wanted if not overwrite else ():
        refuse_existing(path)
    pixels = suffix(source) in PICTURES and not volume
    with _staged(folder, name) as stage:
        at = outputs_of(stage, name, source)
        write_label(at.label_map, label_map(found), source)
        if outlines is not None:
            write_label(at.instances, outlines.map, source)
            outlines.save(at.instance_table, pixels=pixels)
        if volume:
            save_markups(found, at.markups)
        if to.report in wanted:
            try:
                save_report(found, source, at.report, algorithm=algorithm, codes=codes)
            except InputError as error:
                if unreported is None:
                    raise
                unreported(error)
        found.save(at.boxes, pixels=pixels)
        written = [path for path in wanted if (stage / path.name).is_file()]
    # What an earlier prediction left, and this one does not replace, is of other boxes.
    left = {to.instances, to.instance_table, *wanted} - {*written}
    for path in left if overwrite else ():
        path.unlink(missing_ok=True)
    return written


@contextmanager
def _staged(folder: Path, name: str) -> Iterator[Path]:
    """Give a folder beside; when the block ends well, its files come into ``folder`` together."""
    stage = folder / f".{name}.{signature()}.tmp"
    try:
        stage.mkdir(parents=True)
        yield stage
        for path in stage.iterdir():
            path.replace(folder / path.name)
        flush(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    except InputError as error:
        if error.file is not None and Path(error.file).parent == stage:
            error.file = folder / Path(error.file).name
        raise
    finally:
        shutil.rmtree(stage, ignore_errors=True)
