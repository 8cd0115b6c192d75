import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from medseg.errors import InputError
from medseg.recipe import load
from medseg.stages import plan_file, run_folder
from medseg.stages.run_folder import RunFolder


def start(recipe, **options):
    folder = RunFolder(recipe, **options)
    folder.begin()
    return folder


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "r.yaml"
    path.write_text("data: {format: phantom, phantom: {kind: mr}}\ntrainer: {steps: 5}\n")

    def make(*overrides):
        return load(path, overrides)

    return make


@pytest.mark.parametrize(
    "name", ["phantom_mr_30_0", ".phantom_mr_30_0.x_2ab.partial", "echonet_0123abcd", "first"]
)
def test_what_was_written_before_a_run_began_is_no_hindrance(recipe, tmp_path, name):
    (tmp_path / "runs" / "r" / name / "frames").mkdir(parents=True)
    start(recipe())
    assert (tmp_path / "runs" / "r" / "recipe.yaml").is_file()


@pytest.mark.parametrize("name", ["echonet_data", "my_phantom_1", "images"])
def test_a_folder_of_somebody_else_is_left_alone(recipe, tmp_path, name):
    (tmp_path / "runs" / "r" / name).mkdir(parents=True)
    with pytest.raises(InputError, match="not empty and holds no run"):
        start(recipe())


def begun(folder):
    (folder / "fingerprint.json").write_text("{}")
    (folder / "metrics.json").write_text("{}")
    return folder


def test_a_run_holds_its_recipe(recipe, tmp_path):
    start(recipe())
    assert "steps: 5" in (tmp_path / "runs" / "r" / "recipe.yaml").read_text()


def test_the_same_recipe_is_taken_up_again(recipe):
    begun(start(recipe()))
    start(recipe())


def test_another_recipe_is_refused_and_the_keys_are_named(recipe):
    begun(start(recipe()))
    with pytest.raises(InputError, match=r"trainer\.steps") as error:
        start(recipe("trainer.steps=6", "seed=3"))
    assert "seed" in str(error.value) and "--overwrite" in str(error.value)


@pytest.mark.parametrize("override", ["data.fold=1", "logger=none", "data.workers=0"])
def test_folds_loggers_and_workers_may_differ(recipe, override):
    begun(start(recipe()))
    start(recipe(override))


def test_overwrite_starts_over_but_keeps_the_cache(recipe):
    folder = begun(start(recipe()))
    (folder / "cache").mkdir()
    again = start(recipe("seed=3"), overwrite=True)
    assert not (again / "fingerprint.json").exists() and (again / "cache").is_dir()
    assert "seed: 3" in (again / "recipe.yaml").read_text()


def test_overwrite_of_the_same_recipe_leaves_the_other_folds_alone(recipe):
    folder = begun(start(recipe()))
    (folder / "fold_0").mkdir()
    start(recipe("data.fold=1"), overwrite=True)
    assert (folder / "fold_0").is_dir() and (folder / "fingerprint.json").exists()


def test_opening_a_folder_changes_nothing_until_the_data_are_read(recipe):
    folder = begun(start(recipe()))
    RunFolder(recipe("seed=3"), overwrite=True)
    assert (folder / "fingerprint.json").exists()
    assert "seed: 3" not in (folder / "recipe.yaml").read_text()


def test_a_folder_with_something_else_in_it_is_refused_and_untouched(recipe, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="holds no run"):
        start(recipe("run_dir=mine"), overwrite=True)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_a_run_that_failed_at_its_first_step_does_not_bind_the_folder(recipe):
    folder = start(recipe())
    (folder / "splits.json").write_text("[]")
    again = start(recipe("seed=3"))
    assert "seed: 3" in (again / "recipe.yaml").read_text()


def planned(folder):
    """Leave what a run leaves whose budget was refused."""
    for name in ("fingerprint.json", "device.yaml", "stages.json", "splits.json", "cache/a.npy"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")
    (folder / "fold_0" / "checkpoints").mkdir(parents=True)
    plan_file.write(folder / "plan.yaml", {"batch_size": 2}, planned={"batch_size": 2}, reasons={})
    return folder


def test_a_run_in_which_nothing_was_trained_makes_room_and_its_cache_stays(recipe):
    folder = planned(start(recipe()))
    RunFolder(recipe("seed=3"))
    assert (folder / "plan.yaml").exists()
    start(recipe("seed=3"))
    left = {path.name for path in folder.path.iterdir() if not path.name.startswith(".")}
    assert left == {"recipe.yaml", "cache", "splits.json"}
    assert (folder / "cache" / "a.npy").exists() and not list(folder.path.glob(".replaced*"))
    assert "seed: 3" in (folder / "recipe.yaml").read_text()


def test_folds_of_other_data_go_with_the_rest(recipe):
    folder = planned(start(recipe()))
    start(recipe("data.folds=3"))
    assert not (folder / "splits.json").exists()


@pytest.mark.parametrize(
    "name",
    [
        "fold_0/checkpoints/last.ckpt",
        "fold_1/checkpoints/best.ckpt",
        "fold_0/validations.json",
        "predictions/a.nii.gz",
        "postprocessing.yaml",
        "metrics.json",
    ],
)
def test_what_took_hours_or_a_persons_choice_is_never_replaced_unasked(recipe, name):
    folder = planned(start(recipe()))
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("dear")
    with pytest.raises(InputError, match="another recipe"):
        start(recipe("seed=3"))
    assert (folder / name).read_text() == "dear"


@pytest.mark.parametrize(
    "edit", [("batch_size: 2", "batch_size: 4"), ("plan:", "plan: ["), ("# planned: ", "# p: ")]
)
def test_an_edited_plan_is_never_replaced_unasked(recipe, edit):
    plan = planned(start(recipe())) / "plan.yaml"
    plan.write_text(edited := plan.read_text().replace(*edit))
    with pytest.raises(InputError, match="another recipe"):
        start(recipe("seed=3"))
    assert plan.read_text() == edited


def test_what_was_trained_since_the_folder_was_opened_is_not_replaced(recipe):
    folder = planned(start(recipe()))
    late = RunFolder(recipe("seed=3"))
    last = folder / "fold_0" / "checkpoints" / "last.ckpt"
    last.write_text("dear")
    with pytest.raises(InputError, match="another recipe"):
        late.begin()
    assert last.exists() and (folder / "plan.yaml").exists()


def test_a_run_that_a_process_prepares_to_train_does_not_make_room(recipe, monkeypatch):
    monkeypatch.setattr(run_folder, "_PATIENCE", 0)
    folder = planned(start(recipe()))
    with folder.training("fold_1"), pytest.raises(InputError, match="another process"):
        start(recipe("seed=3"))
    assert (folder / "plan.yaml").exists()


def test_a_stage_is_current_only_for_the_inputs_it_ran_on(recipe):
    folder = start(recipe())
    folder.record("plan", "abc")
    assert folder.is_current("plan", "abc") and not folder.is_current("plan", "abd")


def test_folds_side_by_side_lose_no_record(recipe):
    folders = [start(recipe(f"data.fold={fold}")) for fold in range(4)]

    def work(fold):
        for i in range(8):
            folders[fold].record(f"{fold} {i}", "done")

    with ThreadPoolExecutor(len(folders)) as threads:
        list(threads.map(work, range(len(folders))))
    stages = [f"{fold} {i}" for fold in range(4) for i in range(8)]
    assert all(folders[0].is_current(stage, "done") for stage in stages)


@pytest.mark.parametrize("override", ["inference.overlap=0.25", "evaluation.empty=one"])
def test_prediction_and_scores_may_be_set_anew_and_the_recipe_says_so(recipe, override):
    folder = begun(start(recipe()))
    note = "# fold_0 was extended by 4 steps at step 5\n"
    stored = folder / "recipe.yaml"
    stored.write_text(stored.read_text() + note)
    start(recipe(override))
    assert (folder / "fingerprint.json").exists()
    assert override.partition(".")[2].replace("=", ": ") in stored.read_text()
    assert stored.read_text().endswith(note)
    start(recipe(override))


def test_a_fold_is_trained_by_one_process_at_a_time(recipe, monkeypatch):
    monkeypatch.setattr(run_folder, "_PATIENCE", 0)
    first, second = start(recipe()), start(recipe())
    with first.training("fold_0"):
        with pytest.raises(InputError, match="another process"), second.training("fold_0"):
            pass
        with second.training("fold_1"):
            pass
    with second.training("fold_0"):
        pass


def test_a_run_in_training_is_not_set_aside_for_another_recipe(recipe, monkeypatch):
    monkeypatch.setattr(run_folder, "_PATIENCE", 0)
    folder = begun(start(recipe()))
    (folder / "fold_0").mkdir()
    with folder.training("fold_0"), pytest.raises(InputError, match="another process"):
        start(recipe("seed=3"), overwrite=True)
    assert (folder / "fold_0").is_dir()


def test_what_a_killed_process_was_writing_does_not_bind_the_folder(recipe, tmp_path):
    (tmp_path / "runs" / "r").mkdir(parents=True)
    left = tmp_path / "runs" / "r" / ".recipe.yaml.123-aabb.tmp"
    left.write_text("")
    start(recipe())
    assert left.exists()
    os.utime(left, (0, 0))
    start(recipe())
    assert not left.exists()


def test_of_two_recipes_begun_at_once_in_a_folder_the_second_is_refused(recipe):
    first, second = RunFolder(recipe()), RunFolder(recipe("seed=9"))
    first.begin()
    with pytest.raises(InputError, match="another process has begun") as error:
        second.begin()
    assert "seed" in error.value.found
    assert (first / "recipe.yaml").read_text() == recipe().to_yaml()
