"""``medseg sweep`` with real trainings, and its mistakes."""

import json

import pytest

from medseg.atomic import is_temporary
from medseg.cli.verbs.sweep import _grouped
from medseg.errors import InputError
from medseg.recipe import load, load_text
from medseg.stages import sweep

SPACE = "optimizer.lr: {low: 1e-4, high: 1e-2, log: true}\nloss: [dice_ce, dice]\n"


@pytest.fixture
def space(here):
    (here / "space.yaml").write_text(SPACE)
    return here / "space.yaml"


def test_a_sweep_trains_its_trials_and_writes_the_best_as_a_recipe(
    cli, recipe, here, space, monkeypatch
):
    pytest.importorskip("optuna", reason="Optuna is not installed (extra sweep)")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = ["sweep", recipe, space, "--each", "2", "-o", "s"]
    code, out, err = cli(*words, "--trials", "1")
    assert code == 0, err
    code, out, err = cli(*words, "--trials", "2", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert [row["state"] for row in found["trials"]] == ["done", "done"]
    assert found["best"]["dice"] == max(row["dice"] for row in found["trials"])
    for number, row in ((row["trial"], row) for row in found["trials"]):
        scores = json.loads((here / f"s/trial_{number:03d}/fold_0/validations.json").read_text())
        assert row["dice"] == pytest.approx(max(entry["val/dice"] for entry in scores))
        text = (here / f"s/trial_{number:03d}/recipe.yaml").read_text()
        assert f"name: tiny_{number:03d}" in text and "steps: 2" in text
        assert (here / f"s/trial_{number:03d}/cache").resolve() == here / "s" / "cache"
    best = load(here / "s" / "best.yaml")
    assert best.optimizer.arguments["lr"] == found["best"]["values"]["optimizer.lr"]
    assert best.loss.name == found["best"]["values"]["loss"]
    assert best.trainer.steps == 2 and best.plan.batch_size == 2
    code, _, err = cli(*words, "--trials", "2", "seed=3")
    assert code == 2 and "another sweep" in err and "seed" in err


def test_trials_are_a_group_of_runs_in_wandb_unless_the_recipe_names_one():
    both = "[csv, {name: wandb, tags: [a]}, {name: wandb, group: mine}]"
    recipe = load_text(f"data: {{root: /d}}\nlogger: {both}")
    (word,) = _grouped(recipe, "the_sweep")
    csv, one, other = load_text("data: {root: /d}", overrides=[word]).logger
    assert csv.name == "csv" and one.arguments == {"tags": ["a"], "group": "the_sweep"}
    assert other.arguments == {"group": "mine"}
    assert _grouped(load_text("data: {root: /d}\nlogger: none"), "s") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("optimizer.lrr: [1, 2]", ["space.yaml:1", "optimizer.lrr"]),
        ("optimizer.lr: {low: 2, high: 1}", ["is empty"]),
        ("trainer.steps: [2, 3]", ["--each"]),
    ],
)
def test_a_space_that_cannot_be_is_refused_before_anything_starts(
    cli, recipe, here, space, monkeypatch, text, words
):
    monkeypatch.setattr(sweep, "require_optuna", lambda: None)
    space.write_text(text)
    code, _, err = cli("sweep", recipe, space, "--each", "2", "-o", "s")
    assert code == 2 and all(word in err for word in words), err
    assert not (here / "s").exists()


def test_nothing_held_out_is_nothing_to_compare_by(cli, recipe, space, monkeypatch):
    monkeypatch.setattr(sweep, "require_optuna", lambda: None)
    code, _, err = cli("sweep", recipe, space, "data.fold=all")
    assert code == 2 and "holds out none" in err


def test_a_cascade_is_swept_once_its_first_stage_is_trained(cli, recipe, space, here, monkeypatch):
    monkeypatch.setattr(sweep, "require_optuna", lambda: None)
    code, _, err = cli("sweep", recipe, space, "cascade.first=coarse", "-o", "s")
    assert code == 2 and "first stage" in err and "Traceback" not in err
    assert "cascade.first=runs/tiny/first cascade.use=crop" in err
    assert not (here / "s").exists()


def test_a_missing_space_is_named(cli, recipe, here, monkeypatch):
    monkeypatch.setattr(sweep, "require_optuna", lambda: None)
    code, _, err = cli("sweep", recipe, here / "nowhere.yaml")
    assert code == 2 and "nowhere.yaml" in err and "Traceback" not in err


def test_trials_share_the_data_that_are_written_for_them(cli, here, monkeypatch):
    pytest.importorskip("optuna", reason="Optuna is not installed (extra sweep)")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (here / "cells.yaml").write_text(
        "extends: base/2d\n"
        "data: {format: phantom, phantom: {kind: cells, cases: 4, seed: 1}, workers: 0, folds: 2}\n"
        "plan: {patch_size: 32, features: [4, 8], batch_size: 2}\nlogger: none\n"
    )
    (here / "space.yaml").write_text("seed: [1, 2]\n")
    code, _, err = cli(
        "sweep", "cells.yaml", "space.yaml", "--trials", "1", "--each", "2", "-o", "s"
    )
    assert code == 0, err
    name = "phantom_cells_4_1"
    assert (here / "s" / "trial_000" / name).resolve() == here / "s" / "data" / name
    assert [p.name for p in here.rglob("phantom_*") if not p.is_symlink()] == [name]


def test_missing_data_spend_no_trial(cli, recipe, space, here, monkeypatch):
    monkeypatch.setattr(sweep, "require_optuna", lambda: None)
    code, _, err = cli("sweep", recipe, space, "data.root=nowhere", "-o", "s")
    assert code == 2 and "nowhere" in err
    assert [p.name for p in (here / "s").iterdir() if not is_temporary(p)] == ["sweep.json"]


def test_a_head_without_the_devices_leaves_trials_to_the_cluster(
    cli, recipe, space, here, monkeypatch
):
    monkeypatch.setattr(sweep, "require_optuna", lambda: None)
    monkeypatch.setattr("medseg.cli.verbs.sweep._run", reached)
    words = ["sweep", recipe, space, "trainer.accelerator=cuda", "trainer.devices=64", "-o", "s"]
    code, _, err = cli(*words)
    assert code == 2 and "reached" not in err and not (here / "s").exists()
    code, _, err = cli(*words, "--ray", "auto")
    assert code == 2 and "reached" in err


def reached(*_):
    raise InputError("reached")
