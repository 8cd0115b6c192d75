"""Sweeps whose trials are made up: files of scores, and processes that end when told to."""

import json

import pytest

pytest.importorskip("optuna", reason="Optuna is not installed (extra sweep)")

from medseg.errors import InputError, InputErrors, Interrupted
from medseg.recipe import load, load_text
from medseg.recipe.space import Choice, Range
from medseg.stages import sweep
from medseg.stages.reporter import Reporter
from medseg.stages.sweep_folder import Subject, SweepFolder

RECIPE = load_text("data: {root: /data}", source="r.yaml")
SPACE = (Range("optimizer.lr", 1e-4, 1e-2, log=True), Choice("loss", ("dice_ce", {"name": "dice"})))


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(sweep, "_PAUSE", 0.0)


def subject(space=SPACE, each=()):
    return Subject("r.yaml", RECIPE.to_yaml(), space, each)


def opened(path, **options):
    folder = SweepFolder(path, subject(**options), RECIPE)
    path.mkdir(exist_ok=True)
    folder.begin()
    return folder


class Trial:
    """A process that writes one validation each time it is looked at."""

    def __init__(self, folder, number, scores, code=0):
        self.file = folder.trial(number) / "fold_0" / "validations.json"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.scores, self.code, self.returncode = list(scores), code, None
        self.terminated = False

    def poll(self):
        if self.returncode is None and self.terminated:
            self.returncode = 130
        elif self.returncode is None and not self.scores:
            self.returncode = self.code
        elif self.returncode is None:
            before = json.loads(self.file.read_text()) if self.file.exists() else []
            now = [*before, {"step": len(before), "val/dice": self.scores.pop(0)}]
            self.file.write_text(json.dumps(now))
        return self.returncode

    def wait(self):
        return self.poll()

    def terminate(self):
        self.terminated = True


def starter(folder, scores, seen=None, code=lambda number: 0):
    """Start trials that score ``scores(number, values)``."""

    def start(number, values, place):
        if seen is not None:
            seen.append((number, values))
        log = folder.log(number)
        log.parent.mkdir(exist_ok=True)
        log.write_text(f"words of trial {number}\n")
        return Trial(folder, number, scores(number, values), code(number)), log

    return start


def go(folder, start, trials, places=((),)):
    return sweep.run(
        folder, start, trials=trials, places=places, seed=1, report=Reporter(quiet=True)
    )


def test_the_best_validation_of_the_best_trial_wins(tmp_path):
    folder = opened(tmp_path / "s")
    scores = {0: [0.1, 0.6, 0.5], 1: [0.2, 0.3], 2: [0.55]}
    found = go(folder, starter(folder, lambda number, _: scores[number]), 3)
    assert [(row["trial"], row["dice"]) for row in found] == [(0, 0.6), (2, 0.55), (1, 0.3)]
    assert {row["state"] for row in found} == {"done"}
    assert sweep.best_of(found)["trial"] == 0
    assert json.loads((folder.path / "trials.json").read_text()) == found


def test_values_come_from_the_space_and_differ(tmp_path):
    folder, seen = opened(tmp_path / "s"), []
    go(folder, starter(folder, lambda *_: [0.5], seen), 12, places=((), ()))
    rates = [values["optimizer.lr"] for _, values in seen]
    assert len(set(rates)) == 12 and all(1e-4 <= rate <= 1e-2 for rate in rates)
    assert {json.dumps(values["loss"]) for _, values in seen} == {'"dice_ce"', '{"name": "dice"}'}


def test_a_trial_below_the_median_of_the_others_is_given_up(tmp_path):
    folder = opened(tmp_path / "s")

    def scores(number, _):
        return [0.1, 0.1, 0.1, 0.1] if number == 5 else [0.4, 0.5, 0.6, 0.7]

    found = {row["trial"]: row for row in go(folder, starter(folder, scores), 6)}
    assert found[5]["state"] == "given up" and found[5]["validations"] < 4
    assert all(found[number]["state"] == "done" for number in range(5))


def test_a_trial_that_fails_does_not_stop_the_others(tmp_path):
    folder = opened(tmp_path / "s")
    start = starter(
        folder,
        lambda number, _: [] if number == 1 else [0.5],
        code=lambda number: 2 * (number == 1),
    )
    found = {row["trial"]: row for row in go(folder, start, 3)}
    assert [found[number]["state"] for number in range(3)] == ["done", "failed", "done"]
    assert found[1]["dice"] is None


def test_if_all_fail_their_words_are_shown(tmp_path):
    folder = opened(tmp_path / "s")
    start = starter(folder, lambda *_: [], code=lambda _: 2)
    with pytest.raises(InputErrors, match="trial 0 could not be trained") as caught:
        go(folder, start, 2)
    assert "words of trial 1" in str(caught.value)


def test_an_interrupted_sweep_goes_on_with_the_trial_it_had_begun(tmp_path):
    folder, first, second = opened(tmp_path / "s"), [], []
    start = starter(
        folder, lambda number, _: [0.5] if number == 0 else [0.2], first, lambda n: 130 * (n == 1)
    )
    with pytest.raises(Interrupted, match="trial 1"):
        go(folder, start, 4)
    found = go(opened(folder.path), starter(folder, lambda *_: [0.7], second), 4)
    assert [number for number, _ in first] == [0, 1]
    assert [number for number, _ in second] == [1, 2, 3]
    assert second[0] == first[1]  # the same values
    assert sorted(row["trial"] for row in found) == [0, 1, 2, 3]
    rates = {values["optimizer.lr"] for _, values in [first[0], *second]}
    assert len(rates) == 4
    # Nothing is left to do; more trials are asked for, and run.
    third = []
    assert go(folder, starter(folder, lambda *_: [0.1], third), 4) == found and not third
    go(folder, starter(folder, lambda *_: [0.1], third), 5)
    assert [number for number, _ in third] == [4]


@pytest.mark.parametrize(
    ("changed", "word"),
    [({"space": SPACE[:1]}, "space"), ({"each": ("trainer.steps=3",)}, "each")],
)
def test_a_folder_of_another_sweep_is_refused_with_what_differs(tmp_path, changed, word):
    opened(tmp_path / "s").trial(0).mkdir()
    with pytest.raises(InputError, match="another sweep") as caught:
        SweepFolder(tmp_path / "s", subject(**changed), RECIPE)
    assert word in caught.value.found and "--overwrite" in caught.value.remedy
    SweepFolder(tmp_path / "s", subject(**changed), RECIPE, overwrite=True).begin()


def test_a_folder_of_another_recipe_is_refused_too(tmp_path):
    opened(tmp_path / "s").trial(0).mkdir()
    other = load_text("data: {root: /data}\nseed: 5", source="r.yaml")
    with pytest.raises(InputError, match="another sweep") as caught:
        SweepFolder(tmp_path / "s", Subject("r.yaml", other.to_yaml(), SPACE), other)
    assert "seed" in caught.value.found


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(InputError, match="holds no sweep"):
        SweepFolder(tmp_path, subject(), RECIPE)
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        SweepFolder(tmp_path, subject(), RECIPE)


def test_starting_over_keeps_the_cache_and_nothing_else(tmp_path):
    folder = opened(tmp_path / "s")
    go(folder, starter(folder, lambda *_: [0.5]), 1)
    folder.cache.mkdir()
    SweepFolder(folder.path, subject(), RECIPE, overwrite=True)
    assert [path.name for path in folder.path.iterdir()] == ["cache"]


def test_the_best_values_are_a_recipe_on_top_of_the_one_that_was_swept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = "data: {root: /d}\naugmentation: [{name: mirror}, {name: noise, p: 0.1}]\n"
    (tmp_path / "r.yaml").write_text(base)
    values = {
        "optimizer.lr": 1e-05,
        "loss": {"name": "dice_focal", "gamma": 3.0},
        "augmentation.1.p": 0.7,
    }
    mine = ["trainer.budget=2h", "run_dir=elsewhere"]
    texts = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    recipe = load("r.yaml", [*mine, *texts])
    folder = SweepFolder(tmp_path / "s", Subject("r.yaml", recipe.to_yaml(), ()), recipe)
    (tmp_path / "s").mkdir()
    file = folder.write_best(values, recipe, mine, why="The best.")
    found = load(file)
    assert file.read_text().startswith("# The best.\n# medseg run ")
    assert found.optimizer.arguments["lr"] == 1e-05 and found.loss.arguments["gamma"] == 3.0
    assert found.trainer.budget == 7200 and found.run_dir == "runs/best"
    assert not [key for key in recipe.differences(found) if key not in ("run_dir", "name")]


def test_without_optuna_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setattr(sweep, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="needs Optuna") as caught:
        sweep.require_optuna()
    assert "pip install" in caught.value.remedy


def test_scores_that_are_not_finite_count_nothing(tmp_path):
    folder = opened(tmp_path / "s")
    trial = Trial(folder, 0, [])
    trial.file.write_text('[{"step": 1, "val/dice": NaN}, {"step": 2, "val/dice": 0.5}]')
    assert folder.scores(0) == [0.0, 0.5]
    trial.file.write_text("[{")
    assert folder.scores(0) == []


def test_a_sweep_that_failed_before_its_first_trial_does_not_bind_the_folder(tmp_path):
    opened(tmp_path / "s")
    other = subject(each=("trainer.steps=9",))
    SweepFolder(tmp_path / "s", other, RECIPE).begin()
    assert json.loads((tmp_path / "s" / "sweep.json").read_text())["each"] == ["trainer.steps=9"]


def test_a_broken_record_of_trials_is_named(tmp_path):
    folder = opened(tmp_path / "s")
    (folder.path / "study.db").write_text("garbage")
    with pytest.raises(InputError, match="cannot be read") as caught:
        go(folder, starter(folder, lambda *_: [0.5]), 1)
    assert caught.value.file == folder.path / "study.db"


def test_trials_of_a_detection_are_ranked_by_their_precision(tmp_path, capsys):
    recipe = load_text("task: detection\ndata: {root: /data}", source="r.yaml")
    folder = SweepFolder(tmp_path, Subject("r.yaml", recipe.to_yaml(), SPACE, ()), recipe)
    folder.begin()

    for number, scores in enumerate(([0.3], [0.2, 0.4])):
        file = folder.trial(number) / "fold_0" / "validations.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps([{"step": k, "val/map": s} for k, s in enumerate(scores)]))
    assert folder.scores(1) == [0.2, 0.4] and (folder.score_key, folder.score_title) == (
        "map",
        "mAP",
    )
    found = [{"trial": 1, "state": "done", "map": 0.4, "validations": 2, "values": {}}]
    sweep.show(Reporter(), found, folder)
    shown = capsys.readouterr().out
    assert "mAP" in shown and "0.4000" in shown and "Dice" not in shown
