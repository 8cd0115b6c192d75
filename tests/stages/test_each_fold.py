"""Folds that are trained where this machine is not: what is measured, is measured there."""

import json
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from medseg.cli import main, one_fold
from medseg.data import phantoms
from medseg.errors import InputError
from medseg.planning.cost import Speed
from medseg.stages import plan_file

RECIPE = """\
# Sized by the clock.
data: {{root: "{root}", workers: 0, folds: 2}}
trainer: {{budget: 15m}}
logger: none
"""


class Elsewhere:
    """A machine with a device, which the one that asks for trainings has not.

    What folds share is done here and at once, as if it were there; trainings begin and are stopped.
    """

    capacity, busy = 1, False

    def start(self, module, words, log):
        if not json.loads(words)["device_only"]:
            raise InputError("so far, so good")
        log.parent.mkdir(parents=True, exist_ok=True)
        self.busy = True
        one_fold.train(words)
        self.busy = False
        return SimpleNamespace(poll=lambda: 0, returncode=0), log


@pytest.fixture
def elsewhere(monkeypatch):
    there = Elsewhere()

    @contextmanager
    def cluster(*_, **__):
        yield there

    def measured(*_, **__):
        if not there.busy:
            raise InputError("there is no device here")
        return Speed(1e7)

    monkeypatch.setattr("medseg.cli.folds.cluster", cluster)
    monkeypatch.setattr("medseg.training.benchmark.measure_speed", measured)
    monkeypatch.setattr(one_fold, "end_with_starter", lambda: None)
    return there


def test_a_plan_is_sized_for_the_device_that_trains(elsewhere, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    phantoms.write("mr", tmp_path / "mr", cases=4, seed=1, shape=(20, 28, 20))
    (tmp_path / "r.yaml").write_text(RECIPE.format(root=tmp_path / "mr"))
    assert main(["run", "r.yaml", "--each-fold", "--ray", "auto", "-q"]) == 2
    assert "so far, so good" in capsys.readouterr().err
    run = tmp_path / "runs" / "r"
    assert plan_file.read(run / "plan.yaml").speed["gflops"] == 0.01
    assert (run / "device.yaml").is_file() and list(run.glob("cache/*/case.json"))
