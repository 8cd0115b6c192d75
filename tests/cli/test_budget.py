"""A training to the clock, from the command line."""

import json

import pytest


def test_a_budget_too_short_for_one_validation_is_refused_before_any_step(cli, recipe, here):
    words = [
        "trainer.budget=0.05s",
        "network={name: unet}",
        "plan.features=[16, 32]",
        "logger=wandb",
    ]
    code, _, err = cli("fit", recipe, *words)
    assert code == 2 and "too short for one validation" in err, err
    assert "at least" in err and "validation_cases" in err and "data.fold=all" in err
    assert not list((here / "runs").rglob("last.ckpt"))
    # Nothing of it is in the way of another attempt, and no tracker was told of it.
    assert not list((here / "runs").rglob("wandb*"))
    code, _, err = cli("fit", recipe, "network={name: unet}", "plan.features=[4, 8]")
    assert code == 0, err


def test_fewer_validation_cases_are_validated_and_all_are_predicted(cli, recipe, here):
    code, _, err = cli("run", recipe, "trainer.validation_cases=1", "data.folds=2")
    assert code == 0, err
    metrics = json.loads((here / "runs" / "tiny" / "metrics.json").read_text())
    assert len(metrics["cases"]) == 3


@pytest.mark.slow
@pytest.mark.clock
def test_a_budget_of_twenty_seconds_is_kept(cli, recipe, here):
    code, _, err = cli("fit", recipe, "trainer.budget=20s")
    assert code == 0, err
    fold = here / "runs" / "tiny" / "fold_0"
    entries = json.loads((fold / "validations.json").read_text())
    # Two percent, and what a busy machine adds to a step.
    assert entries[-1]["seconds"] == pytest.approx(20, abs=0.4 + 0.6)
    assert (fold / "checkpoints" / "best.ckpt").is_file()
