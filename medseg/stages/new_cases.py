"""``predict`` for files outside any data set: group them into cases, then segment them.

Where boxes are to be found instead, `new_objects` goes on with the cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medseg.data import formats
from medseg.data.case import Case
from medseg.errors import InputError
from medseg.inference import checkpoint as checkpoints
from medseg.inference.checkpoint import Checkpoint
from medseg.inference.ensemble import Average, Ensemble
from medseg.inference.predictor import Predictor
from medseg.inference.segmenter import Segmenter
from medseg.stages.predict import predict_cases
from medseg.stages.reporter import Reporter


def first_of(run: Path) -> Checkpoint:
    """Read the first checkpoint of a run folder, or a checkpoint, of whatever task.

    Raises:
        InputError: see `medseg.inference.checkpoint`.
    """
    return checkpoints.read(checkpoints.find(run)[0], task=None)


def group(
    first: Checkpoint, inputs: Sequence[Path], *, format: str | None = None
) -> tuple[Case, ...]:
    """Group files into cases by the rule of a run's data format.

    Args:
        first: of the run; it knows the channels and the format.
        inputs: files, or folders whose images are taken.
        format: another format's rule.

    Raises:
        InputError: a path does not exist, or a case lacks a channel.
    """
    missing = [path for path in inputs if not path.exists()]
    if missing:
        raise InputError("there is no such file or folder", file=missing[0])
    name, options = first.format["name"], first.format["options"]
    if format not in (None, name):
        name, options = format, {}
    return formats.group(inputs, format=name, channels=first.channels, options=options)


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
    first_stage: Path | None = None,
    average: Average | None = None,
) -> list[Path]:
    """Segment cases into ``output``; folds of a run are averaged, and so are several runs.

    Args:
        runs: run folders or checkpoints.
        cases: the cases.
        output: folder for the masks.
        report: told how far it is.
        device: ``auto``, ``cpu``, ``cuda``, …
        trust: packages whose code may run.
        overwrite: replace masks that are there.
        postprocessing: ``auto``: what the run, or all runs alike, have chosen; ``none``; or a file;
            ``None``: as the runs' recipes say.
        first_stage: of a single run that is a cascade, where its first stage was moved.
        average: of several runs their ``probabilities`` (``None``) or ``logits``, see `Ensemble`.

    Raises:
        InputError: a case cannot be read, its mask exists already, a network is named twice, or
            the runs do not fit together.
    """
    predictor: Segmenter
    if average is not None and len(runs) == 1:
        raise InputError(
            "--average says what of several runs is averaged, and there is one",
            file=runs[0],
            expected="several runs",
            found=f"--average {average} of one",
            remedy="name another run with --with RUN; the folds of one run average their logits",
        )
    refuse_twice(runs)
    if len(runs) == 1:
        predictor = Predictor.load(
            runs[0],
            device=device,
            trust=trust,
            postprocessing=postprocessing,
            first_stage=first_stage,
        )
    elif first_stage is not None:
        raise InputError(
            "--first names the first stage of one run, and several are averaged",
            found=", ".join(map(str, runs)),
            remedy="move the first stages to where their runs look for them",
        )
    else:
        predictor = Ensemble.load(
            runs,
            device=device,
            trust=trust,
            average=average or "probabilities",
            postprocessing=postprocessing,
        )
    if predictor.postprocess.steps:
        report.stage("postprocess", "; ".join(map(str, predictor.postprocess.steps)))
    return predict_cases(predictor, cases, output, report=report, overwrite=overwrite)


def refuse_twice(runs: Sequence[Path]) -> None:
    """Refuse a network that two of the runs name: it would count double, which nobody asks for.

    Raises:
        InputError: naming it.
    """
    named: dict[Path, Path] = {}
    for run in runs:
        for file in checkpoints.find(run):
            other = named.setdefault(file.resolve(), run)
            if other is not run:
                raise InputError(
                    "the same network is to be averaged twice",
                    file=run,
                    found=f"{file}, which is a part of {other} already",
                    remedy="name each run once; its folds are averaged without a word",
                )
