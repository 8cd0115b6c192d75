"""The training of one fold as a process of its own: ``python -m medseg.cli.one_fold ARGUMENTS``."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from medseg.cli import guarded
from medseg.cli.job import open_fold

_PASSED_ON = ("recipe", "overrides", "trust", "overwrite")


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
    passed: dict[str, Any] = {name: getattr(arguments, name) for name in _PASSED_ON}
    words = json.dumps({**passed, "fold": fold, "place": place})
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "medseg.cli.one_fold", words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C reaches it once, from the process that started it
        )
    return process, log


def train(words: str) -> None:
    """Train the fold that ``start`` names; what folds share is done already."""
    from medseg.stages import fit

    given = json.loads(words)
    fold, place = given.pop("fold"), tuple(given.pop("place"))
    arguments = Namespace(**given, quiet=False, json=False)
    with open_fold(arguments, fold, place=place) as job:
        job.device_is_settled = True
        fit.run(job)


if __name__ == "__main__":
    sys.exit(guarded(lambda: train(sys.argv[1])))
