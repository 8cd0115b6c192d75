"""Folds of one run, trained at the same time: a process for each device."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from medseg.errors import InputError, InputErrors, Interrupted
from medseg.recipe import Recipe
from medseg.stages.reporter import Reporter

Place = tuple[str, ...]
"""The overrides that bind a training to a device: ``("trainer.devices=[1]",)``."""


class Process(Protocol):
    """A training as a process, here or elsewhere; a `subprocess.Popen` is one."""

    @property
    def returncode(self) -> int | None:
        """Its exit code, as `poll` last found it."""
        ...

    def poll(self) -> int | None:
        """Return its exit code once it has ended."""
        ...

    def wait(self) -> int:
        """Wait for its end."""
        ...

    def terminate(self) -> None:
        """Ask it to end."""
        ...


Start = Callable[[int, Place], tuple[Process, Path]]
"""Starts the training of a fold at a place; returns its process and what it says, a file."""

INTERRUPTED = 130
_LAST_LINES = 6
_PAUSE = 0.2
_TELL_SECONDS = 60.0


def places(recipe: Recipe) -> list[Place]:
    """List the GPUs over which folds may be spread.

    None if the recipe names a device, trains on something else, or there is one GPU only.
    """
    if recipe.trainer.devices != 1 or recipe.trainer.accelerator not in ("auto", "gpu", "cuda"):
        return []
    import torch

    count = torch.cuda.device_count()
    return [(f"trainer.devices=[{i}]",) for i in range(count)] if count > 1 else []


def train(folds: Iterable[int], places: Sequence[Place], start: Start, *, report: Reporter) -> None:
    """Train folds at several places at once; a fold that fails does not stop the others.

    Args:
        folds: their numbers.
        places: where; each takes the next fold as soon as it is free.
        start: starts a training.
        report: told which fold begins and ends where, and from time to time how far they are.

    Raises:
        InputErrors: naming the folds that failed, with the end of what each said.
        Interrupted: one was stopped, or this process was; all are ended.
    """
    waiting, free = list(folds), list(places)
    running: dict[Process, tuple[int, Place, Path]] = {}
    failed: list[InputError] = []
    told = time.monotonic()
    try:
        while waiting or running:
            while waiting and free:
                fold, place = waiting.pop(0), free.pop(0)
                process, said = start(fold, place)
                running[process] = fold, place, said
                at = f" ({' '.join(place)})" if place else ""
                report.say(f"fold {fold} begins{at}; log: {said}")
            ended = [process for process in running if process.poll() is not None]
            for process in ended:
                fold, place, said = running.pop(process)
                free.append(place)
                if process.returncode == INTERRUPTED:
                    raise Interrupted(f"the training of fold {fold} was stopped")
                if process.returncode:
                    failed.append(failure(f"fold {fold} could not be trained", said))
                report.say(f"fold {fold} {'has failed' if process.returncode else 'is trained'}")
            if time.monotonic() - told > _TELL_SECONDS:
                told = time.monotonic()
                tell({f"fold {fold}": said for fold, _, said in running.values()}, report=report)
            if not ended:
                time.sleep(_PAUSE)
    finally:
        end(running)
    if failed:
        raise InputErrors(failed)


def one(start: Callable[[], tuple[Process, Path]], name: str, *, report: Reporter) -> None:
    """Do one thing elsewhere, and wait for it.

    Raises:
        InputError: it failed, with the end of what it said.
        Interrupted: it was stopped, or this process was.
    """
    process, said = start()
    report.say(f"{name} begins; log: {said}")
    told = time.monotonic()
    try:
        while process.poll() is None:
            if time.monotonic() - told > _TELL_SECONDS:
                told = time.monotonic()
                tell({name: said}, report=report)
            time.sleep(_PAUSE)
    finally:
        end([process])
    if process.returncode == INTERRUPTED:
        raise Interrupted(f"{name} was stopped")
    if process.returncode:
        raise failure(f"{name} failed", said)


def tell(logs: Mapping[str, Path], *, report: Reporter) -> None:
    """Say how far trainings are: the last line that each has said, by name."""
    for name, said in logs.items():
        for line in _last_lines(said, 1):
            report.say(f"  {name}: {line.strip()}")


def end(running: Iterable[Process]) -> None:
    """Ask trainings to stop, and wait until each has written its checkpoint."""
    left = [process for process in running if process.poll() is None]
    for process in left:
        process.terminate()
    for process in left:
        process.wait()


def failure(what: str, said: Path) -> InputError:
    """Say that a training failed, with its last words."""
    lines = _last_lines(said, _LAST_LINES)
    return InputError(what, file=said, found="".join(f"\n    {line}" for line in lines) or None)


def _last_lines(said: Path, count: int) -> list[str]:
    try:
        text = said.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.strip().splitlines()[-count:]
