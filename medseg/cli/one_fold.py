"""The training of one fold as a process of its own: ``python -m medseg.cli.one_fold ARGUMENTS``."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from medseg.cli import guarded
from medseg.cli.job import open_fold
from medseg.cli.leash import end_with_starter
from medseg.stages.job import Job

_MODULE = "medseg.cli.one_fold"
_PASSED_ON = ("recipe", "overrides", "trust", "overwrite")


def words(
    arguments: Namespace,
    fold: int | str,
    place: Sequence[str],
    *,
    settled: bool = True,
    device_only: bool = False,
    predict: bool = False,
    cache: Path | None = None,
) -> tuple[str, str]:
    """Say what to run: a module, and its argument.

    Args:
        arguments: of ``medseg run``.
        fold: its number.
        place: more overrides, such as those that name its device.
        settled: what folds share is done already, ``device.yaml`` too.
        device_only: do what folds share, and end.
        predict: segment what the fold held out, too.
        cache: a folder of preprocessed cases to share with other runs.
    """
    given: dict[str, Any] = {name: getattr(arguments, name) for name in _PASSED_ON}
    given |= {"fold": fold, "place": list(place), "settled": settled and not device_only}
    given |= {"device_only": device_only, "predict": predict}
    given["cache"] = None if cache is None else str(cache.absolute())
    return _MODULE, json.dumps(given)


def start(
    arguments: Namespace, fold: int, place: tuple[str, ...], log: Path
) -> tuple[subprocess.Popen, Path]:
    """Start the process.

    Args:
        arguments: of ``medseg run``.
        fold: its number.
        place: overrides that name its device.
        log: the file that takes what it says.
    """
    return launch(*words(arguments, fold, place), log)


def launch(module: str, words: str, log: Path) -> tuple[subprocess.Popen, Path]:
    """Start a module of medseg as a process that speaks into a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", module, words],
            stdin=subprocess.PIPE,  # closed when this process is gone
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C reaches it once, from the process that started it
        )
    return process, log


def train(words: str) -> None:
    """Train the fold that ``words`` names."""
    from medseg.stages import each_fold, fit, predict

    end_with_starter()
    given = json.loads(words)
    passed = {name: given[name] for name in _PASSED_ON}
    arguments = Namespace(**passed, quiet=False, json=False)
    with open_fold(arguments, given["fold"], place=given["place"]) as job:
        if given["cache"] is not None:
            _share(job, Path(given["cache"]))
        job.device_is_settled = given["settled"]
        if given["device_only"]:
            each_fold.prepare(job)
            return
        best = fit.run(job)
        if given["predict"]:
            predict.run(job, best)


def _share(job: Job, cache: Path) -> None:
    """Let the run's cache be one that other runs use, too: its keys say what is in it."""
    _ = job.dataset  # the run's folder begins with its recipe
    if not job.folder.cache.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # a file system without links: then it has its own
            job.folder.cache.symlink_to(cache, target_is_directory=True)


if __name__ == "__main__":
    sys.exit(guarded(lambda: train(sys.argv[1])))
