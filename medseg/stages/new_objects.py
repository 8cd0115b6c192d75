"""``predict`` of a detection for files outside any data set: find the objects, and write them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from medseg.data.case import Case
from medseg.data.formats.series import is_series
from medseg.errors import InputError, InputErrors
from medseg.inference.detection.detector import Detector
from medseg.inference.detection.joined import JoinedDetector
from medseg.inference.detection.locator import Locator
from medseg.inference.detection.outlines import require_outlines
from medseg.inference.detection.outputs import Outputs, outputs_of, save_outputs
from medseg.stages.each_case import each_case
from medseg.stages.names import some
from medseg.stages.new_cases import refuse_twice
from medseg.stages.predict import require_folder
from medseg.stages.reporter import Reporter


@dataclass(frozen=True)
class Written:
    """What was found in a case, and where it stands.

    Attributes:
        case: its id.
        found: class -> number of objects.
        files: see `medseg.inference.detection.outputs.save_outputs`.
    """

    case: str
    found: Mapping[str, int]
    files: Sequence[Path]


def predict(
    runs: Sequence[Path],
    cases: Sequence[Case],
    output: Path,
    *,
    report: Reporter,
    device: str = "auto",
    trust: tuple[str, ...] = (),
    overwrite: bool = False,
    postprocessing: str | None = None,
    score: float | None = None,
    instances: bool = False,
) -> list[Written]:
    """Find the objects in cases; folds of a run look together, what several runs find is joined.

    A case that fails does not stop the others; all failures are reported at the end.

    Args:
        runs: run folders or checkpoints.
        cases: the cases.
        output: folder for the boxes.
        report: told how far it is.
        device: ``auto``, ``cpu``, ``cuda``, …
        trust: packages whose code may run.
        overwrite: replace files that are there.
        postprocessing: which boxes are kept: ``auto``: as the ``detection.yaml`` of the run says,
            or of all runs alike; ``none``: all are; or such a file; ``None``: as the runs' recipes
            say.
        score: from which score a box counts as found, instead of what such a file says.
        instances: write outlines, too; of a single run whose networks segment as well.

    Raises:
        InputError: the output is a file, lies among the images, or holds such files already; a
            network is named twice; the runs do not fit together; or there are no outlines.
            `InputErrors`: naming the cases that failed.
    """
    if instances and len(runs) > 1:
        raise InputError(
            "--instances is for a single run: what several runs segment is not joined",
            found=", ".join(map(str, runs)),
            remedy="leave out --with RUN, or --instances",
        )
    refuse_twice(runs)
    require_folder(output)
    _refuse_among_images(cases, output)
    names = {case.id: outputs_of(output, case.id, case.images[0]) for case in cases}
    _refuse_ambiguous(names, output)
    if not overwrite:
        _refuse_existing(names, output)
    locator = _load(
        runs, device=device, trust=trust, keep=postprocessing, score=score, instances=instances
    )
    _say_what_is_kept(locator, report)
    _say_what_is_missing(cases, report)

    def act(case: Case) -> Written:
        volume = locator.read(case)
        found = locator.find(volume)
        outlines = None
        if instances and isinstance(locator, Detector):
            outlines = locator.outline(volume, found)
        files = save_outputs(
            found,
            output,
            case.id,
            source=case.images[0],
            outlines=outlines,
            overwrite=overwrite,
            unreported=lambda why: report.warn(f"no DICOM report of {case.id}: {why}"),
        )
        return Written(case.id, Counter(found.names), files)

    written, problems = each_case(cases, act, report=report)
    if problems:
        raise InputErrors(problems)
    return written


def _load(
    runs: Sequence[Path],
    *,
    device: str,
    trust: tuple[str, ...],
    keep: str | None,
    score: float | None,
    instances: bool,
) -> Locator:
    if len(runs) > 1:
        return JoinedDetector.load(runs, device=device, trust=trust, keep=keep, score=score)
    detector = Detector.load(runs[0], device=device, trust=trust, keep=keep, score=score)
    if instances:
        require_outlines(detector.networks, detector.labels)
    return detector


def _say_what_is_kept(locator: Locator, report: Reporter) -> None:
    rule = locator.keep.in_words()
    if rule:
        report.stage("keep", "; ".join(rule))
    if set(locator.labels.foreground) - set(locator.keep.score):
        report.say(
            "  doubtful boxes are written, too, with their scores; --score 0.5 leaves them out"
        )


def _say_what_is_missing(cases: Sequence[Case], report: Reporter) -> None:
    if find_spec("highdicom") is None and any(is_series(case.images[0]) for case in cases):
        report.say("  for DICOM reports: pip install 'medseg[dicom]'")


def _refuse_among_images(cases: Sequence[Case], output: Path) -> None:
    """Refuse a folder in which what is written would be taken for images the next time."""
    for image in chain.from_iterable(case.images for case in cases):
        if output.resolve() in (image.resolve(), image.absolute().parent.resolve()):
            raise InputError(
                "the output folder holds the images themselves",
                file=output,
                found=image.name,
                remedy="choose another folder with -o: maps and reports look like images",
            )


def _refuse_ambiguous(names: Mapping[str, Outputs], output: Path) -> None:
    """Refuse ids that leave the folder, and cases whose files would replace each other's."""
    owners: dict[Path, str] = {}
    for case, files in names.items():
        for path in files:
            if not path.resolve().is_relative_to(output.resolve()):
                raise InputError("the case's id leaves the output folder", found=case)
            other = owners.setdefault(path, case)
            if other != case:
                raise InputError(
                    "two cases would write the same file",
                    file=path,
                    found=f"cases {other} and {case}",
                    remedy="rename one of them, or predict them into different folders",
                )


def _refuse_existing(names: Mapping[str, Outputs], output: Path) -> None:
    there = [path.name for files in names.values() for path in files if path.exists()]
    if there:
        raise InputError(
            "the output folder holds files of these cases already",
            file=output,
            found=some(there),
            remedy="choose another folder with -o, or replace them with --overwrite",
        )
