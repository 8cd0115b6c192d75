import json

import pytest

from medseg.stages.replaced import Replaced, artefacts, recover


@pytest.fixture
def run(tmp_path):
    """The folder of a finished run."""
    fill(tmp_path, "old")
    return tmp_path


def fill(run, word):
    for name in ("recipe.yaml", "plan.yaml", "fold_0/checkpoints/last.ckpt", "predictions/a.nii"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(word)


def words(run):
    files = [path for path in run.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path.relative_to(run).as_posix(): path.read_text() for path in files}


def test_a_run_comes_back_whole_if_the_new_one_fails_before_it_stands(run):
    before, replaced = words(run), Replaced(run)
    replaced.take(artefacts(run))
    assert artefacts(run) == []
    (run / "recipe.yaml").write_text("new")
    (run / "device.yaml").write_text("new")
    assert replaced.settle(failed=True)
    assert words(run) == before and not list(run.glob(".replaced*"))


def test_a_training_that_can_go_on_is_kept_though_it_failed(run):
    replaced = Replaced(run)
    replaced.take(artefacts(run))
    fill(run, "new")
    assert not replaced.settle(failed=True)
    assert set(words(run).values()) == {"new"} and not list(run.glob(".replaced*"))


def test_of_one_fold_only_its_own_things_are_replaced(run):
    (run / "predictions" / "b.nii").write_text("of another fold")
    before, replaced = words(run), Replaced(run)
    replaced.take([run / "fold_0", run / "predictions" / "a.nii"])
    (run / "fold_0").mkdir()
    (run / "stages.json").write_text(json.dumps({}))
    assert replaced.settle(failed=True)
    assert words(run) == {**before, "stages.json": "{}"}


def test_what_a_killed_process_set_aside_comes_back_and_that_of_a_living_one_does_not(run):
    before, replaced = words(run), Replaced(run)
    replaced.take(artefacts(run))
    (run / "recipe.yaml").write_text("new")
    recover(run)
    assert words(run)["recipe.yaml"] == "new"
    replaced._held.close()  # as the system does
    recover(run)
    assert words(run) == before


def test_what_a_killed_process_had_replaced_is_dropped(run):
    replaced = Replaced(run)
    replaced.take([run / "fold_0"])
    replaced._held.close()
    fill(run, "new")
    recover(run)
    assert set(words(run).values()) == {"new"} and not list(run.glob(".replaced*"))
