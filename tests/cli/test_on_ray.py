"""Folds and trials on a Ray cluster of two machines, and the mistakes of ``--ray``."""

import json
from importlib.util import find_spec

import pytest

from medseg.cli.parser import parse
from medseg.stages import ray_cluster


def test_an_override_behind_ray_is_no_address():
    given = parse(["run", "r.yaml", "--each-fold", "--ray", "trainer.budget=4m", "seed=1"])
    assert given.ray == "local" and given.overrides == ["seed=1", "trainer.budget=4m"]
    assert parse(["run", "r.yaml", "--ray", "auto"]).ray == "auto"
    assert parse(["run", "r.yaml"]).ray is None


@pytest.mark.parametrize("words", [["--ray"], ["--cpus", "2"], ["--gpus", "1"]])
def test_a_single_training_is_not_for_ray(cli, recipe, words):
    code, _, err = cli("run", recipe, *words)
    assert code == 2 and "--each-fold" in err


def test_cores_without_a_cluster_are_refused(cli, recipe):
    code, _, err = cli("run", recipe, "--each-fold", "--cpus", "2")
    assert code == 2 and "--ray" in err


def test_devices_by_number_contradict_ray(cli, recipe):
    code, _, err = cli("run", recipe, "--each-fold", "--ray", "trainer.devices=[0]")
    assert code == 2 and "--ray chooses the devices" in err


def test_without_ray_the_remedy_is_named(cli, recipe, here, monkeypatch):
    monkeypatch.setattr(ray_cluster, "find_spec", lambda _: None)
    code, _, err = cli("run", recipe, "--each-fold", "--ray")
    assert code == 2 and "pip install" in err and "Traceback" not in err
    assert not (here / "runs").exists()


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (extra ray)")
def test_an_address_that_does_not_answer_is_refused(cli, recipe):
    code, _, err = cli("run", recipe, "--each-fold", "--ray", "127.0.0.1:1")
    assert code == 2 and "no Ray cluster at 127.0.0.1:1" in err


@pytest.mark.slow
def test_folds_are_trained_on_both_machines(cli, recipe, here, two_machines, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = ["run", recipe, "--each-fold", "--ray", two_machines.address, "data.folds=2"]
    code, out, err = cli(*words)
    assert code == 0, err
    assert "1 CPU for each training, 2 of 2 at once" in out
    run = here / "runs" / "tiny"
    logs = [(run / "logs" / f"fold_{fold}.log").read_text() for fold in range(2)]
    assert len({log.splitlines()[0] for log in logs}) == 2, logs
    metrics = json.loads((run / "metrics.json").read_text())
    assert sorted(metrics["folds"]) == ["fold_0", "fold_1"] and len(metrics["cases"]) == 6


@pytest.mark.slow
def test_a_fold_that_fails_is_shown_and_the_other_finishes(
    cli, recipe, here, two_machines, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (here / "mine.py").write_text(
        "import sys\n\nfrom medseg.errors import InputError\n"
        "from medseg.losses import DiceCELoss\n\n\n"
        "class Spoilt(DiceCELoss):\n"
        "    def forward(self, logits, target):\n"
        "        if '\"fold\": 1' in ' '.join(sys.argv):\n"
        "            raise InputError('this fold is cursed')\n"
        "        return super().forward(logits, target)\n"
    )
    words = [
        "run",
        recipe,
        "--each-fold",
        "--ray",
        two_machines.address,
        "data.folds=2",
        "--trust",
        "mine",
    ]
    code, _, err = cli(*words, "loss={name: 'mine:Spoilt'}")
    assert code == 2 and "fold 1 could not be trained" in err and "this fold is cursed" in err
    assert (here / "runs/tiny/fold_0/checkpoints/best.ckpt").is_file()


@pytest.mark.slow
def test_trials_are_trained_on_both_machines(cli, recipe, here, two_machines, monkeypatch):
    pytest.importorskip("optuna", reason="Optuna is not installed (extra sweep)")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (here / "space.yaml").write_text("optimizer.lr: {low: 1e-4, high: 1e-2, log: true}\n")
    words = ["sweep", recipe, "space.yaml", "--trials", "2", "--each", "2", "-o", "s"]
    code, out, err = cli(*words, "--ray", two_machines.address, "--json")
    assert code == 0, err
    assert [row["state"] for row in json.loads(out)["trials"]] == ["done", "done"]
    logs = [(here / "s" / "logs" / f"trial_{n:03d}.log").read_text() for n in range(2)]
    assert len({log.splitlines()[0] for log in logs}) == 2, logs
