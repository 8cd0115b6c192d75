"""The training of one fold as a process of its own: ``python -m medseg.cli.one_fold ARGUMENTS``."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
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
    links: Mapping[str, Path] | None = None,
) -> tuple[str, str]:
    """Say what to run: a module, and its argument.

    Args:
        arguments: of ``medseg run``.
        fold: its number.
        place: more overrides, such as those that name its device.
        settled: what folds share is done already, ``device.yaml`` too.
        device_only: do what folds share, and end.
        predict: segment what the fold held out, too.
        links: folders that the run shares with others, by their names in its own.
    """
    given: dict[str, Any] = {name: getattr(arguments, name) for name in _PASSED_ON}
    given |= {"fold": fold, "place": list(place), "settled": settled and not device_only}
    given |= {"device_only": device_only, "predict": predict}
    given["links"] = {name: str(path.absolute()) for name, path in (links or {}).items()}
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
        _link(job, {name: Path(path) for name, path in given["links"].items()})
        job.device_is_settled = given["settled"]
        if given["device_only"]:
            each_fold.prepare(job)
            return
        best = fit.run(job)
        if given["predict"]:
            predict.run(job, best)


def _link(job: Job, links: Mapping[str, Path]) -> None:
    """Let folders of the run be those that other runs use, too: their names say what is in them."""
    if not links:
        return
    job.folder.begin()  # a folder that is not empty is taken for a run by its recipe
    for name, shared in links.items():
        own = job.folder / name
        if not own.exists():
            with suppress(OSError):  # a file system without links: then it has its own
                own.symlink_to(shared, target_is_directory=True)


if __name__ == "__main__":
    sys.exit(guarded(lambda: train(sys.argv[1])))
