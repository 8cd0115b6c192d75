import json
import shutil

import nibabel as nib
import numpy as np
import pytest
import torch

from medseg.cli import main
from medseg.inference.postprocess import MaskStep, Postprocessor
from medseg.inference.postprocess.file import NAME, read
from medseg.labels import LabelScheme
from medseg.recipe import load
from medseg.stages import plan_file, plan_masks

SPECKLED = "{name: remove_small, of: head, min_size: 40}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny):
    """A cross-validated run of two folds, and its recipe."""
    folder = tmp_path_factory.mktemp("postprocess")
    (folder / "tiny.yaml").write_text(tiny)
    words = [str(folder / "tiny.yaml"), "data.folds=2", f"run_dir={folder / 'run'}"]
    assert main(["run", *words, "--each-fold", "-q"]) == 0
    return folder


@pytest.fixture
def run(trained, here, phantom):
    """A copy of it whose masks are the references with a speck far off: there is much to gain."""
    shutil.copytree(trained / "run", here / "run")
    for path in (here / "run" / "predictions").glob("*.nii.gz"):
        image = nib.load(phantom / "labelsTr" / path.name)
        mask = np.asarray(image.dataobj).astype(np.uint8)
        mask[:2, :2, :2] = 1
        nib.save(nib.Nifti1Image(mask, image.affine, image.header), path)
    (here / "run" / NAME).unlink()
    return here / "run"


@pytest.fixture
def words(trained, here):
    return [trained / "tiny.yaml", "data.folds=2", f"run_dir={here / 'run'}"]


def values(path):
    return np.asarray(nib.load(path).dataobj)


def test_each_fold_ends_with_a_choice_for_all_held_out_cases(trained):
    text = (trained / "run" / NAME).read_text()
    assert "6 held-out cases of 2 folds" in text and not read(trained / "run" / NAME).edited
    metrics = json.loads((trained / "run" / "metrics.json").read_text())
    assert ("postprocessed" in metrics) == bool(read(trained / "run" / NAME).steps)


def test_postprocess_writes_what_helps_and_scores_with_and_without(cli_json, run, phantom):
    found = cli_json("postprocess", run)
    assert found["file"] == str(run / NAME)
    assert found["dice"]["before"] < found["dice"]["after"] == pytest.approx(1.0)
    assert {step["name"] for step in found["steps"]} == {"largest_component"}
    metrics = json.loads((run / "metrics.json").read_text())
    again = metrics["postprocessed"]
    assert metrics["mean"]["dice"] == pytest.approx(found["dice"]["before"])
    assert again["mean"]["dice"] == pytest.approx(found["dice"]["after"])
    assert again["steps"] == found["steps"] and set(again["cases"]) == set(metrics["cases"])
    assert set(again["folds"]) == {"fold_0", "fold_1"}
    for path in (run / "postprocessed").glob("*.nii.gz"):
        reference = nib.load(phantom / "labelsTr" / path.name)
        assert np.array_equal(values(path), np.asarray(reference.dataobj))
        assert np.allclose(nib.load(path).affine, reference.affine)
    assert (run / "postprocessed" / "labels.json").is_file()
    assert not read(run / NAME).edited
    assert cli_json("postprocess", run) == found


def test_the_plan_says_what_is_done_to_masks_and_the_training_stays_valid(
    cli, cli_json, run, words
):
    before = plan_file.read(run / "plan.yaml")
    weights = {path: path.stat().st_mtime_ns for path in run.rglob("best.ckpt")}
    found = cli_json("postprocess", run)
    text = (run / "plan.yaml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("# Masks: "))
    assert "largest component of" in line and " -> 1.0000" in line
    assert found["steps"] and plan_file.read(run / "plan.yaml") == before
    code, _, err = cli("run", *words, "--each-fold")
    assert code == 0, err
    assert {path: path.stat().st_mtime_ns for path in run.rglob("best.ckpt")} == weights
    # It chooses anew where masks were predicted anew, and the plan goes along.
    said = [f"# Masks: {line}" for line in plan_masks.lines(load(run / "recipe.yaml"), run)]
    text = (run / "plan.yaml").read_text()
    assert said and said == [line for line in text.splitlines() if line.startswith("# Masks: ")]


def test_an_edit_is_never_replaced_unasked(cli, cli_json, run, words):
    cli_json("postprocess", run)
    edited = f"inference: {{postprocessing: [{SPECKLED}]}}\n"
    (run / NAME).write_text(edited)
    code, _, err = cli("postprocess", run)
    assert code == 2 and "--overwrite" in err and (run / NAME).read_text() == edited
    code, out, err = cli("run", *words, "--each-fold")
    assert code == 0, err
    assert "your edits are kept" in out and (run / NAME).read_text() == edited
    metrics = json.loads((run / "metrics.json").read_text())
    (step,) = metrics["postprocessed"]["steps"]
    assert step == {"name": "remove_small", "of": "head", "min_size": 40.0}
    cli_json("postprocess", run, "--overwrite")
    assert SPECKLED not in (run / NAME).read_text() and not read(run / NAME).edited


def test_predict_applies_it_and_can_leave_it(cli, cli_json, run, phantom, here):
    cli_json("postprocess", run)
    steps = [MaskStep.from_dict(step) for step in [{"name": "remove_small", "min_size": 1e9}]]
    (run / NAME).write_text(
        "inference: {postprocessing: [{name: remove_small, min_size: 1.0e+9}]}\n"
    )
    image = next((phantom / "imagesTr").iterdir())
    code, out, err = cli("predict", run, image, "-o", "clean")
    assert code == 0, err
    assert str(steps[0]) in out and not values(here / "clean" / image.name).any()
    assert cli("predict", run, image, "-o", "raw", "--postprocessing", "none")[0] == 0
    assert values(here / "raw" / image.name).any()
    (here / "own.yaml").write_text("inference: {postprocessing: none}\n")
    assert cli("predict", run, image, "-o", "own", "--postprocessing", "own.yaml")[0] == 0
    assert np.array_equal(values(here / "own" / image.name), values(here / "raw" / image.name))


def test_runs_that_disagree_are_averaged_without_and_a_file_decides(cli, run, phantom, here):
    shutil.copytree(run, here / "other")
    (here / "other" / NAME).write_text(f"inference: {{postprocessing: [{SPECKLED}]}}\n")
    (here / "all.yaml").write_text(
        "inference: {postprocessing: [{name: remove_small, min_size: 1.0e+9}]}\n"
    )
    image = next((phantom / "imagesTr").iterdir())
    both = ["predict", run, image, "--with", here / "other"]
    code, out, _ = cli(*both, "-o", "none")
    assert code == 0 and "without components" not in out
    code, out, err = cli(*both, "-o", "all", "--postprocessing", "all.yaml")
    assert code == 0, err
    assert not values(here / "all" / image.name).any()


def test_steps_of_the_recipe_are_taken_as_they_stand(cli, run, words, here):
    named = "inference.postprocessing=[{name: remove_small, of: tail, min_size: 1.0e+9}]"
    code, _, err = cli("run", *words, "--each-fold", named)
    assert code == 0, err
    assert not (run / NAME).exists()
    scheme = LabelScheme.from_dict(json.loads((run / "postprocessed" / "labels.json").read_text()))
    clean = Postprocessor([MaskStep("remove_small", "tail", 1e9)], scheme)
    for path in (run / "postprocessed").glob("*.nii.gz"):
        raw = values(run / "predictions" / path.name)
        expected = scheme.to_value(clean(scheme.to_index(raw), (1.0, 1.0, 1.0)))
        assert np.array_equal(values(path), expected)
    code, _, err = cli("postprocess", run)
    assert code == 2 and "inference.postprocessing" in err
    # Nothing is left of it where nothing is to be done.
    assert cli("run", *words, "--each-fold", "inference.postprocessing=none")[0] == 0
    assert not (run / "postprocessed").exists()
    assert "postprocessed" not in json.loads((run / "metrics.json").read_text())


def test_steps_named_after_the_training_are_what_predict_takes(cli, run, words, phantom, here):
    named = "inference.postprocessing=[{name: remove_small, min_size: 1.0e+9}]"
    assert cli("run", *words, named)[0] == 0
    image = next((phantom / "imagesTr").iterdir())
    assert cli("predict", run, image, "-o", "out")[0] == 0
    assert not values(here / "out" / image.name).any()


def test_a_choice_by_masks_of_other_weights_is_noticed_and_made_anew(
    cli, cli_json, run, words, phantom, caplog
):
    cli_json("postprocess", run)
    image = next((phantom / "imagesTr").iterdir())
    assert cli("predict", run, image, "-o", "first")[0] == 0
    assert "other weights" not in caplog.text
    chosen = (run / NAME).read_text()
    best = run / "fold_0" / "checkpoints" / "best.ckpt"
    content = torch.load(best, weights_only=True)
    content["state_dict"] = {
        key: value * 1.01 if value.is_floating_point() else value
        for key, value in content["state_dict"].items()
    }
    torch.save(content, best)
    _, _, err = cli("postprocess", run)  # an old choice once more, but for the weights
    assert "masks of fold_0 are older than its network" in err and "fold_1" not in err
    (run / NAME).write_text(chosen)
    assert cli("predict", run, image, "-o", "second")[0] == 0
    assert "other weights than fold_0 has" in caplog.text
    code, _, err = cli("run", *words)
    assert code == 0 and "other weights than fold_0 has" in " ".join(err.split()), err
    caplog.clear()
    code, _, err = cli("run", *words, "--each-fold")
    assert code == 0 and "other weights" not in err, err
    assert cli("predict", run, image, "-o", "third")[0] == 0
    assert "other weights" not in caplog.text


def test_other_steps_make_no_mask_anew(cli, run, words):
    assert cli("run", *words)[0] == 0  # the copied run lies elsewhere: its masks are made anew
    predictions = {p: p.stat().st_mtime_ns for p in (run / "predictions").iterdir()}
    inputs = json.loads((run / "stages.json").read_text())
    code, _, err = cli("run", *words, f"inference.postprocessing=[{SPECKLED}]")
    assert code == 0, err
    after = json.loads((run / "stages.json").read_text())
    assert after["predict fold_0"] == inputs["predict fold_0"]
    assert {p: p.stat().st_mtime_ns for p in predictions} == predictions


def test_one_fold_is_enough_and_it_is_said(cli, recipe, here):
    assert cli("run", recipe, "data.folds=2", "data.fold=1")[0] == 0
    run = here / "runs" / "tiny"
    assert not (run / NAME).exists()
    code, out, err = cli("postprocess", run)
    assert code == 0, err
    assert "one fold" in out and "--each-fold" in out
    assert "3 held-out cases of one fold" in (run / NAME).read_text()


def test_without_held_out_masks_the_command_that_makes_them_is_named(cli, run, here):
    shutil.rmtree(run / "predictions")
    code, _, err = cli("postprocess", run)
    assert code == 2 and "medseg run RECIPE" in err and "held-out" in err
    code, _, err = cli("postprocess", "absent")
    assert code == 2 and "no such run" in err
    (here / "empty").mkdir()
    assert cli("postprocess", "empty")[0] == 2


def test_the_file_of_another_data_set_is_refused(cli, cli_json, run, phantom, words):
    cli_json("postprocess", run)
    text = (run / NAME).read_text().replace('"head": 1', '"head": 5')
    (run / NAME).write_text(text)
    image = next((phantom / "imagesTr").iterdir())
    code, _, err = cli("predict", run, image, "-o", "out")
    assert code == 2 and "other labels" in err and NAME in err
    code, _, err = cli("run", *words, "--each-fold")
    assert code == 2 and "other labels" in err


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        ("[{name: largest, of: head}]", "largest_component"),
        ("[{name: remove_small, of: head, min_size: -1}]", "at least 0"),
        ("[{name: remove_small, of: head}]", "needs min_size"),
        ("[{name: fill_holes, of: head, min_size: 3}]", "has no size"),
        ("[{of: head}]", "name"),
        ("sometimes", "auto or none or a list"),
        ("[{name: fill_holes, of: hat}]", "no class 'hat'"),
        ("[{name: fill_holes}]", "no class says with what"),
    ],
)
def test_wrong_steps_are_refused_before_anything_is_trained(cli, recipe, here, steps, word):
    code, _, err = cli("run", recipe, f"inference.postprocessing={steps}")
    assert code == 2 and word in err and "postprocessing" in err, err
    assert not list(here.glob("runs/*/fold_*"))


def test_evaluate_scores_masks_also_as_a_file_would_change_them(cli, cli_json, run, phantom, here):
    (here / "own.yaml").write_text(f"inference: {{postprocessing: [{SPECKLED}]}}\n")
    words = ["evaluate", run / "predictions", phantom / "labelsTr"]
    found = cli_json(*words, "--postprocessing", "own.yaml")
    assert found["mean"]["dice"] < found["postprocessed"]["mean"]["dice"] == pytest.approx(1.0)
    assert "postprocessed" not in cli_json(*words)
    code, out, _ = cli(*words, "--postprocessing", "own.yaml")
    assert code == 0 and "head without components below 40 mm³" in out
    code, _, err = cli(*words, "--postprocessing", "absent.yaml")
    assert code == 2 and "absent.yaml" in err
