"""`--extend` goes on with a training without a jump, and leaves the folder in order."""

import csv
import json
import shutil

import pytest
import torch

from medseg.cli import main
from medseg.training import schedule

WORDS = ["trainer.steps=6", "trainer.validate_every=3", "logger=csv"]


@pytest.fixture(scope="module")
def once(tmp_path_factory, tiny):
    """A finished training of six steps."""
    folder = tmp_path_factory.mktemp("once")
    (folder / "tiny.yaml").write_text(tiny)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["fit", "tiny.yaml", *WORDS, "-q"]) == 0
    return folder / "runs"


@pytest.fixture
def trained(once, recipe, here):
    """A copy of it, and the command that made it."""
    shutil.copytree(once, here / "runs")
    return ["fit", recipe, *WORDS], here / "runs" / "tiny" / "fold_0"


def load(fold, name="last"):
    return torch.load(fold / "checkpoints" / f"{name}.ckpt", weights_only=True)


def validations(fold):
    return json.loads((fold / "validations.json").read_text())


def test_a_finished_training_goes_on_with_optimiser_and_average(cli, trained):
    words, fold = trained
    before = load(fold)
    code, _, err = cli(*words, "--extend", "4")
    assert code == 0, err
    after = load(fold)
    assert (before["global_step"], after["global_step"]) == (6, 10)
    states = after["optimizer_states"][0]["state"].values()
    # Kernels have Muon's momentum, the rest AdamW's state and its count of steps.
    assert {state["step"].item() for state in states if "step" in state} == {10.0}
    assert int(after["state_dict"]["averaged.n_averaged"]) == 10
    with (fold / "progress.csv").open() as file:
        logged = [int(row["step"]) for row in csv.DictReader(file)]
    assert logged == sorted(logged)
    assert [entry["step"] for entry in validations(fold)][:2] == [3, 6]
    assert validations(fold)[-1]["step"] == 10


def test_the_same_recipe_without_extend_is_trained_then(cli, trained):
    words, fold = trained
    assert cli(*words, "--extend", "4")[0] == 0
    stamp = (fold / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    code, out, err = cli(*words)
    assert code == 0 and "is trained, unchanged" in out, err
    assert (fold / "checkpoints" / "last.ckpt").stat().st_mtime_ns == stamp


def test_an_extension_can_be_extended_and_is_noted_in_the_run(cli, trained):
    words, fold = trained
    assert cli(*words, "--extend", "2")[0] == 0
    assert cli(*words, "--extend", "3")[0] == 0
    assert load(fold)["global_step"] == 11
    said = json.loads((fold / "extensions.json").read_text())
    assert [(e["by"], e["from_step"], e["limit"]) for e in said] == [(2, 6, 8), (3, 8, 11)]
    recipe = (fold.parent / "recipe.yaml").read_text()
    assert "# fold_0 was extended by 3 steps at step 8" in recipe and "steps: 6" in recipe
    assert cli(*words, "--overwrite")[0] == 0
    assert "extended" not in (fold.parent / "recipe.yaml").read_text()
    assert load(fold)["global_step"] == 6


def test_a_killed_extension_is_resumed_by_the_same_command_without_extend(
    cli, trained, monkeypatch
):
    from medseg.training.clock import TrainingClock

    words, fold = trained
    ordinary = TrainingClock.on_train_batch_end

    def deadly(self, trainer, *rest, **options):
        ordinary(self, trainer, *rest, **options)
        if trainer.global_step == 9:
            raise RuntimeError("the power is cut")

    monkeypatch.setattr(TrainingClock, "on_train_batch_end", deadly)
    words = [*words, "trainer.checkpoint_every=1"]
    code, _, err = cli(*words, "--extend", "6")
    # Another recipe: how often checkpoints are written belongs to it.
    assert code == 2 and "checkpoint_every" in err
    words = words[:-1]
    code, _, err = cli(*words, "--extend", "6")
    assert code == 1 and "the power is cut" in err
    monkeypatch.setattr(TrainingClock, "on_train_batch_end", ordinary)
    code, _, err = cli(*words, "--resume")
    assert code == 0, err
    assert load(fold)["global_step"] == 12


def test_best_stays_if_the_extension_is_no_better(cli, trained, monkeypatch):
    words, fold = trained
    file = fold / "validations.json"
    entries = json.loads(file.read_text())
    entries[0]["val/dice"] = 2.0
    file.write_text(json.dumps(entries))
    best = load(fold, "best")["global_step"]
    assert cli(*words, "--extend", "3")[0] == 0
    assert load(fold, "best")["global_step"] == best


def test_the_learning_rate_does_not_jump(cli, trained):
    words, fold = trained
    cosine = schedule.Cosine(final=0.3)  # the base recipe's
    finished = load(fold)["optimizer_states"][0]["param_groups"][0]
    peak = finished["initial_lr"]
    assert finished["lr"] == pytest.approx(peak * cosine(1.0))  # it had come to its end
    assert cli(*words, "--extend", "60")[0] == 0
    with (fold / "progress.csv").open() as file:
        rates = [float(row["lr"]) for row in csv.DictReader(file) if row.get("lr")]
    assert 0.5 * peak * cosine(12 / 66) < max(rates[-6:]) <= 1.1 * peak
    ended = load(fold)["optimizer_states"][0]["param_groups"][0]
    assert ended["lr"] == pytest.approx(peak * cosine(1.0))


@pytest.mark.clock
def test_a_budget_is_extended_by_time(cli, recipe, here):
    words = ["fit", recipe, "trainer.budget=6s", "trainer.validation_cases=1"]
    code, _, err = cli(*words)
    assert code == 0, err
    fold = here / "runs" / "tiny" / "fold_0"
    step, ended = load(fold)["global_step"], validations(fold)[-1]["seconds"]
    code, _, err = cli(*words, "--extend", "5s")
    assert code == 0, err
    assert load(fold)["global_step"] > step
    assert validations(fold)[-1]["seconds"] == pytest.approx(ended + 5, abs=2.0)


def test_an_extension_too_short_for_a_validation_leaves_the_training_as_it_was(
    cli, recipe, here, monkeypatch
):
    from medseg.training import clock

    words = ["fit", recipe, "trainer.budget=4s"]
    code, _, err = cli(*words)
    assert code == 0, err
    with monkeypatch.context() as patch:
        patch.setattr(clock.ValidationTime, "expected", 14.0)
        code, _, err = cli(*words, "--extend", "5s")
    assert code == 2 and "at least 30s" in err and "too short" in err
    assert not (here / "runs" / "tiny" / "fold_0" / "extensions.json").exists()
    code, out, _ = cli(*words)
    assert code == 0 and "unchanged" in out


@pytest.mark.parametrize(
    ("amount", "options", "said"),
    [
        ("30m", [], "number of steps"),
        ("4", ["--overwrite"], "leave one of them out"),
        ("4", ["data.fold=1"], "nothing to extend"),
        ("soon", [], "a length of time such as 30m"),
        ("0", [], "a length of time such as 30m"),
        ("4", ["plan.batch_size=1"], "plan.batch_size"),
    ],
)
def test_what_cannot_be_extended_is_refused(cli, trained, amount, options, said):
    words, fold = trained
    before = (fold / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    code, _, err = cli(*words, *options, "--extend", amount)
    assert code == 2 and said in err, err
    assert (fold / "checkpoints" / "last.ckpt").stat().st_mtime_ns == before


def test_an_edited_plan_is_not_extended(cli, trained):
    words, fold = trained
    plan = fold.parent / "plan.yaml"
    line = next(x for x in plan.read_text().splitlines() if x.startswith("  spacing:"))
    plan.write_text(plan.read_text().replace(line, "  spacing: [2.0, 2.0, 2.0]"))
    code, _, err = cli(*words, "--extend", "4")
    assert code == 2 and "changed since this training began" in err


def test_run_extends_too_and_scores_again(cli, recipe, here):
    assert cli("run", recipe)[0] == 0
    code, _, err = cli("run", recipe, "--extend", "2")
    assert code == 0, err
    assert load(here / "runs" / "tiny" / "fold_0")["global_step"] == 4


@pytest.mark.parametrize(
    "override",
    ["plan.patch_size=33", "plan.batch_size=1000000", "trainer.budget=1s", ""],
)
def test_a_refused_overwrite_leaves_the_old_training_as_it_was(cli, trained, monkeypatch, override):
    from medseg.training import clock

    words, fold = trained
    if "budget" in override:
        words.remove("trainer.steps=6")
    monkeypatch.setattr(clock.ValidationTime, "expected", 14.0)
    if not override:
        monkeypatch.setattr(clock.TrainingClock, "on_train_start", lambda *_: 1 / 0)
    before = {path: path.read_bytes() for path in fold.rglob("*") if path.is_file()}
    recipe = (fold.parent / "recipe.yaml").read_bytes()
    code, out, err = cli(*words, "--overwrite", *override.split())
    assert code == 2 if override else 1, err
    assert "stands as it was" in out, err
    assert {path: path.read_bytes() for path in fold.rglob("*") if path.is_file()} == before
    assert (fold.parent / "recipe.yaml").read_bytes() == recipe
    assert (fold.parent / "plan.yaml").is_file()


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"junk", lambda b: b""])
@pytest.mark.parametrize("words", [["--extend", "1"], ["--resume"]])
def test_a_damaged_checkpoint_is_named(cli, trained, damage, words):
    command, fold = trained
    last = fold / "checkpoints" / "last.ckpt"
    last.write_bytes(damage(last.read_bytes()))
    (fold / "checkpoints" / "best.ckpt").unlink()
    code, _, err = cli(*command, *words)
    assert code == 2 and "last.ckpt" in err and "checkpoint" in err and "Traceback" not in err


def test_a_missing_checkpoint_of_a_finished_training_is_named(cli, trained):
    words, fold = trained
    (fold / "checkpoints" / "last.ckpt").unlink()
    code, _, err = cli(*words, "--extend", "1")
    assert code == 2 and "is missing" in err and "not been trained" not in err


def test_new_cases_can_be_trained_on_with_overwrite(cli, trained, phantom, here):
    words, _ = trained
    folder = here / "grown"
    shutil.copytree(phantom, folder)
    words = [*words, f"data.root={folder}", f"run_dir={here / 'grown_run'}"]
    assert cli(*words)[0] == 0
    listed = json.loads((folder / "dataset.json").read_text())
    listed["training"] = listed["training"][:-1]
    listed["numTraining"] -= 1
    (folder / "dataset.json").write_text(json.dumps(listed))
    code, _, err = cli(*words)
    assert code == 2 and "1 gone" in err and "--overwrite" in err
    code, _, err = cli(*words, "--overwrite")
    assert code == 0, err
