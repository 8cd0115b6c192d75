"""Extensions of a fold's training: what was added to its recipe's time, and up to where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medseg.atomic import locked, write_text
from medseg.errors import InputError
from medseg.stages.job import Job

Amount = int | float
"""Steps as a whole number, or seconds as a float."""


@dataclass(frozen=True)
class Extension:
    """One extension of a training.

    Attributes:
        by: what was added, in steps or seconds.
        unit: ``steps`` or ``seconds``.
        from_step: the step at which it was added.
        limit: steps or seconds of the whole training from then on.
    """

    by: float
    unit: str
    from_step: int
    limit: float


def read(fold: Path) -> list[Extension]:
    """Return the extensions of the training in a fold's folder, oldest first."""
    try:
        return [Extension(**entry) for entry in json.loads(_file(fold).read_text("utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            "the record of this training's extensions cannot be read",
            file=_file(fold),
            found=str(error),
            remedy="start over with --overwrite",
        ) from error


def check(job: Job, amount: Amount) -> None:
    """Refuse, before anything long starts, what cannot be extended.

    Raises:
        InputError: there is no training, it is limited by the other unit, or is to be overwritten.
    """
    if job.overwrite:
        raise InputError(
            "--extend goes on with a training, --overwrite throws it away",
            remedy="leave one of them out",
        )
    last = job.folder.fold / "checkpoints" / "last.ckpt"
    if not last.is_file():
        trained = last.with_name("best.ckpt").is_file()
        raise InputError(
            "the checkpoint that a training goes on from is missing"
            if trained
            else "there is nothing to extend: this fold has not been trained",
            file=last,
            found="best.ckpt, to predict with" if trained else None,
            remedy="bring last.ckpt back, or start over with --overwrite"
            if trained
            else "train first, without --extend",
        )
    timed = _timed(job)
    if timed == isinstance(amount, int):
        raise InputError(
            "a training is extended in the unit of its limit",
            file=job.recipe.at("trainer"),
            expected="a length of time, such as --extend 30m"
            if timed
            else "a number of steps, such as --extend 500",
            found="a number of steps" if timed else "a length of time",
        )


def next_one(
    job: Job, last: Path, amount: Amount, *, before: list[Extension], finished: bool
) -> Extension:
    """Say what extending the training of ``last`` by ``amount`` comes to.

    A finished training goes on from where it stopped, an interrupted one gets ``amount`` beside
    what it has left; also what an extension ``before`` gave it that no checkpoint knows of yet.
    """
    clock = _clock(last)
    done = _elapsed(job, clock) if _timed(job) else clock["step"]
    limits = [clock["limit"], *(extension.limit for extension in before[-1:])]
    base = done if finished else max(limits)
    unit = "seconds" if _timed(job) else "steps"
    return Extension(float(amount), unit, int(clock["step"]), float(base + amount))


def _elapsed(job: Job, clock: dict[str, Any]) -> float:
    """Count the last validation, too: the checkpoint was written before it."""
    try:
        entries = json.loads((job.folder.fold / "validations.json").read_text("utf-8"))
        ended = [float(e["seconds"]) for e in entries if e["step"] == clock["step"]]
    except (OSError, ValueError, TypeError, KeyError):
        ended = []
    return max([clock["elapsed"], *ended])


def _timed(job: Job) -> bool:
    return job.recipe.trainer.steps is None and job.recipe.trainer.epochs is None


@contextmanager
def recorded(
    job: Job, before: list[Extension], extensions: list[Extension], last: Path
) -> Iterator[None]:
    """Write an extension down for as long as it has begun.

    Before its first step, so that a killed one is resumed by the same command without
    ``--extend``; taken back if it is refused before it has left anything.
    """
    if extensions == before:
        yield
        return
    left = last.stat().st_mtime_ns
    record(job, extensions)
    try:
        yield
    except InputError:
        if last.stat().st_mtime_ns == left:
            record(job, before)
        raise


def record(job: Job, extensions: list[Extension]) -> None:
    """Write a fold's extensions into its folder, and note them in ``recipe.yaml``."""
    file = _file(job.folder.fold)
    if extensions:
        write_text(file, json.dumps([asdict(e) for e in extensions], indent=1))
    else:
        file.unlink(missing_ok=True)
    note(job, extensions)


def note(job: Job, extensions: list[Extension]) -> None:
    """Say in ``recipe.yaml``, as comments, how a fold was extended."""
    recipe = job.folder / "recipe.yaml"
    mark = f"# {job.folder.fold.name} was extended"
    with locked(job.folder.path):
        lines = recipe.read_text("utf-8").splitlines()
        kept = [line for line in lines if not line.startswith(mark)]
        kept += [f"{mark} by {e.by:g} {e.unit} at step {e.from_step}" for e in extensions]
        if kept != lines:
            write_text(recipe, "\n".join(kept) + "\n")


def _file(fold: Path) -> Path:
    return fold / "extensions.json"


def _clock(last: Path) -> dict[str, Any]:
    from medseg.inference.torch_file import load_tensors

    clock = load_tensors(last).get("callbacks", {}).get("TrainingClock", {})
    if "limit" not in clock:
        raise InputError(
            "the checkpoint does not say how long its training was to be",
            file=last,
            expected="last.ckpt as this version of medseg writes it",
            remedy="start over with --overwrite and a longer trainer.budget",
        )
    return clock
