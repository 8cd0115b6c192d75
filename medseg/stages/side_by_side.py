"""Folds of one run, trained at the same time: a process for each device."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from medseg.errors import InputError, InputErrors, Interrupted
from medseg.recipe import Recipe
from medseg.stages.reporter import Reporter

Place = tuple[str, ...]
"""The overrides that bind a training to a device: ``("trainer.devices=[1]",)``."""

Start = Callable[[int, Place], tuple[subprocess.Popen, Path]]
"""Starts the training of a fold at a place; returns its process and what it says, a file."""

_INTERRUPTED = 130
_LAST_LINES = 6
_PAUSE = 0.2


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
        report: told which fold begins and ends where.

    Raises:
        InputErrors: naming the folds that failed, with the end of what each said.
        Interrupted: one was stopped, or this process was; all are ended.
    """
    waiting, free = list(folds), list(places)
    running: dict[subprocess.Popen, tuple[int, Place, Path]] = {}
    failed: list[InputError] = []
    try:
        while waiting or running:
            while waiting and free:
                fold, place = waiting.pop(0), free.pop(0)
                process, said = start(fold, place)
                running[process] = fold, place, said
                report.say(f"fold {fold} begins ({' '.join(place) or 'here'}); log: {said}")
            ended = [process for process in running if process.poll() is not None]
            for process in ended:
                fold, place, said = running.pop(process)
                free.append(place)
                if process.returncode == _INTERRUPTED:
                    raise Interrupted(f"the training of fold {fold} was stopped")
                if process.returncode:
                    failed.append(_failure(fold, said))
                report.say(f"fold {fold} {'has failed' if process.returncode else 'is trained'}")
            if not ended:
                time.sleep(_PAUSE)
    finally:
        _end(running)
    if failed:
        raise InputErrors(failed)


def _end(running: Iterable[subprocess.Popen]) -> None:
    """Ask trainings to stop, and wait until each has written its checkpoint."""
    left = list(running)
    for process in left:
        process.terminate()
    for process in left:
        process.wait()


def _failure(fold: int, said: Path) -> InputError:
    try:
        lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return InputError(
        f"fold {fold} could not be trained",
        file=said,
        found="".join(f"\n    {line}" for line in lines[-_LAST_LINES:]) or None,
    )
