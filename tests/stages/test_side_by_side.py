from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from medseg.errors import InputErrors, Interrupted
from medseg.recipe import load_text
from medseg.stages import side_by_side
from medseg.stages.reporter import Reporter

PLACES = [("trainer.devices=[0]",), ("trainer.devices=[1]",)]


def starter(folder: Path, code: str):
    """Start processes that run ``code``; note when each fold began, and where."""
    begun: list[tuple[int, tuple[str, ...]]] = []

    def start(fold, place):
        begun.append((fold, place))
        log = folder / f"{fold}.log"
        with log.open("w") as file:
            command = [sys.executable, "-c", code.replace("FOLD", str(fold))]
            return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT), log

    return start, begun


def test_each_place_takes_the_next_fold_as_soon_as_it_is_free(tmp_path):
    # Fold 0 waits until the others, which go through the second place one by one, are done.
    code = (
        "import pathlib, time\n"
        f"done = pathlib.Path({str(tmp_path)!r})\n"
        "while FOLD == 0 and len(list(done.glob('*.done'))) < 3: time.sleep(0.01)\n"
        "(done / 'FOLD.done').touch()"
    )
    start, begun = starter(tmp_path, code)
    side_by_side.train(range(4), PLACES, start, report=Reporter(quiet=True))
    assert [fold for fold, _ in begun] == [0, 1, 2, 3]
    assert [place for _, place in begun] == [PLACES[0], *[PLACES[1]] * 3]


def test_a_fold_that_fails_is_named_with_its_last_words_and_the_others_go_on(tmp_path):
    start, begun = starter(tmp_path, "print('no such image'); raise SystemExit(2 * (FOLD == 1))")
    with pytest.raises(InputErrors, match="fold 1 could not be trained") as error:
        side_by_side.train(range(3), PLACES, start, report=Reporter(quiet=True))
    assert "no such image" in str(error.value) and "1.log" in str(error.value)
    assert len(begun) == 3 and len(error.value.problems) == 1


def test_an_interrupted_fold_ends_the_others(tmp_path):
    code = "import sys, time; FOLD == 1 and sys.exit(130); time.sleep(60)"
    start, _ = starter(tmp_path, code)
    begun = time.perf_counter()
    with pytest.raises(Interrupted, match="fold 1"):
        side_by_side.train(range(3), PLACES, start, report=Reporter(quiet=True))
    assert time.perf_counter() - begun < 30


@pytest.mark.parametrize(
    ("trainer", "gpus", "count"),
    [
        ("{}", 3, 3),
        ("{}", 1, 0),
        ("{accelerator: cpu}", 3, 0),
        ("{devices: [2]}", 3, 0),
        ("{accelerator: gpu}", 2, 2),
    ],
)
def test_folds_are_spread_over_gpus_that_the_recipe_leaves_open(monkeypatch, trainer, gpus, count):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    places = side_by_side.places(load_text(f"trainer: {trainer}"))
    assert places == [(f"trainer.devices=[{i}]",) for i in range(count)]
