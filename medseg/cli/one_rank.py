"""One process of a training that has several: ``python -m medseg.cli.one_rank ARGUMENTS``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medseg.cli import guarded
from medseg.cli.job import open_fold
from medseg.cli.leash import end_with_starter

_PASSED_ON = ("recipe", "overrides", "trust", "quiet", "json")


def start(
    arguments: Namespace, folder: Path, environment: Mapping[str, str], log: Path | None
) -> subprocess.Popen:
    """Start the process.

    Args:
        arguments: of ``medseg run`` or ``fit``.
        folder: holds its orders, and takes a note of how it fails.
        environment: tells it its place.
        log: the file that takes what it says; ``None``: it speaks where this process does.
    """
    passed: dict[str, Any] = {name: getattr(arguments, name) for name in _PASSED_ON}
    words = json.dumps({**passed, "folder": str(folder)})
    command = [sys.executable, "-m", "medseg.cli.one_rank", words]
    # A Ctrl-C reaches it once, from the process that started it.
    options: dict[str, Any] = {
        "stdin": subprocess.PIPE,  # closed when this process is gone
        "env": {**os.environ, **environment},
        "start_new_session": True,
    }
    if log is None:
        return subprocess.Popen(command, **options)
    with log.open("w", encoding="utf-8") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, **options)


def train(given: dict[str, Any], folder: Path, rank: Any) -> None:
    """Do this process's part of the training that lies in ``folder``."""
    from medseg import ranks
    from medseg.build.device import training_device
    from medseg.stages import training
    from medseg.stages.orders import Orders

    orders = Orders.from_json((folder / "orders.json").read_text(encoding="utf-8"))
    quiet = given.pop("quiet") or rank.number > 0
    arguments = Namespace(**given, quiet=quiet)
    store = ranks.connect(rank)
    with open_fold(arguments, orders.fold, overwrite=False) as job:
        cuda = training_device(job.recipe).type == "cuda"
        with ranks.group(rank, store, "training", cuda=cuda):
            training.obey(job, orders)


def main(words: str) -> int:
    """Train, and leave a note if that fails."""
    from medseg import ranks
    from medseg.stages.supervision import failure_file, reporting

    end_with_starter()
    given = json.loads(words)
    folder = Path(given.pop("folder"))
    rank = ranks.of_environment()
    assert rank is not None
    return reporting(lambda: train(given, folder, rank), failure_file(folder, rank.number))


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1])))
