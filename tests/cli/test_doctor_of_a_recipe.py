import json

import pytest
import torch

from medseg.build.fitted import Fitted
from medseg.planning.fitting import Load
from medseg.stages.forecast import Forecast
from medseg.training.dry_step import Measured


@pytest.fixture
def rows(cli):
    """Run doctor on a recipe: exit code, rows by name, standard error."""

    def run(*words):
        code, out, err = cli("doctor", *words, "--json")
        return code, {row["name"]: row for row in json.loads(out)}, err

    return run


def test_what_fits_is_said_and_nothing_is_left(rows, recipe, here):
    before = sorted(here.rglob("*"))
    code, found, err = rows(recipe)
    assert code == 0, err
    assert all(row["fits"] for row in found.values())
    assert {"device", "training step", "memory", "disk", "time of a step"} <= found.keys()
    assert "2 steps" in found["training"]["need"]
    assert sorted(here.rglob("*")) == before


def test_under_a_budget_the_steps_are_foretold(rows, recipe):
    code, found, err = rows(recipe, "trainer.steps=null", "trainer.budget=2h")
    assert code == 0, err
    assert "2.0 h: about" in found["budget"]["there"]


def test_a_budget_too_short_for_a_validation_is_refused(rows, recipe):
    code, found, err = rows(recipe, "trainer.steps=null", "trainer.budget=0.001")
    assert code == 2 and not found["budget"]["fits"]
    assert "trainer.budget=" in err and "trainer.validation_cases" in err


def test_a_budget_without_a_single_step_is_refused(rows, recipe, monkeypatch):
    guess = Forecast(40.0, 0, 1.0, 2.0, 30.0, 33.0, 0.5)
    monkeypatch.setattr("medseg.stages.dry_look.forecast", lambda *_: guess)
    code, found, err = rows(recipe, "trainer.steps=null", "trainer.budget=30")
    assert code == 2 and not found["budget"]["fits"]
    assert "about 0 steps" in found["budget"]["there"] and "trainer.budget=43s" in err


def test_epochs_keep_their_steps_where_batches_are_halved(rows, recipe, monkeypatch):
    halved = Fitted(Load((16, 16, 16), 1, 2), Measured(0.1, 0.04, 1000))
    monkeypatch.setattr("medseg.stages.dry_look.fit_to_device", lambda *_, **__: halved)
    code, found, err = rows(recipe, "trainer.steps=null", "trainer.epochs=3")
    assert code == 0, err
    # Of six cases four are trained on, two a step.
    assert "for 6 steps" in found["training"]["need"]


def test_a_full_disk_is_refused_before_anything_is_written(rows, recipe, monkeypatch):
    monkeypatch.setattr("medseg.stages.needs.free_bytes", lambda folder: 1000)
    code, found, err = rows(recipe)
    assert code == 2 and not found["disk"]["fits"]
    assert "run_dir=FOLDER" in err and "Traceback" not in err


def test_cases_that_fill_the_memory_are_refused_with_where_to_put_them(rows, recipe, monkeypatch):
    monkeypatch.setattr("medseg.stages.needs.memory_available", lambda: 600_000)
    code, found, err = rows(recipe, "data.cache=ram")
    assert code == 2 and not found["memory"]["fits"]
    assert "memory: does not fit" in err


def test_a_step_that_does_not_fit_names_the_setting_that_does(rows, recipe, monkeypatch):
    monkeypatch.setattr("medseg.stages.dry_look.free_memory", lambda device: 3_000_000)
    code, found, err = rows(recipe, "plan.features=[16, 32]", "plan.batch_size=32")
    assert code == 2 and not found["training step"]["fits"]
    assert "plan." in err and "GiB" in err


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has such a device")
def test_a_device_that_is_not_there_is_named(cli, recipe):
    code, _, err = cli("doctor", recipe, "trainer.accelerator=cuda")
    assert code == 2 and "the CPU only" in err


def test_a_phantom_is_judged_before_it_is_written(rows, here):
    code, found, err = rows("quickstart", "data.phantom.cases=30", "plan.features=[4, 8]")
    assert code == 0, err
    assert "30 cases" in found["data"]["need"]
    assert list(here.iterdir()) == []


def test_a_finished_run_needs_no_preparation(rows, cli, recipe):
    assert cli("preprocess", recipe)[0] == 0
    code, found, err = rows(recipe)
    assert code == 0, err
    assert "fingerprint.json" in found["data"]["need"]
    assert found["time to prepare"]["need"].startswith("0")


def test_without_a_recipe_it_looks_at_the_machine(cli):
    code, out, _ = cli("doctor")
    assert code == 0 and "python" in out


def test_a_fold_that_cannot_be_is_refused_as_by_a_training(cli, recipe):
    code, _, err = cli("doctor", recipe, "data.folds=7")
    assert code == 2 and "cannot fill 7 folds" in err


def test_what_takes_long_is_announced(cli, recipe):
    code, out, err = cli("doctor", recipe)
    assert code == 0, err
    assert "one step" in out and "one case" in out


def test_a_case_on_a_vast_grid_is_tried_on_a_coarser_one(rows, recipe, monkeypatch):
    seen = []

    def look(volume, plan, label):
        seen.append(plan.spacing)

    monkeypatch.setattr("medseg.data.prepare.preprocess.preprocess", look)
    _, found, err = rows(recipe, "plan.spacing=0.05", "trainer.accelerator=cpu")
    assert found["time to prepare"]["need"], err
    assert seen and min(seen[0]) > 0.07
