import json
import re

import nibabel as nib
import numpy as np


def test_run_leaves_every_artefact_and_a_second_run_repeats_nothing(cli, recipe, here, phantom):
    code, out, err = cli("run", recipe)
    assert code == 0, err
    run = here / "runs" / "tiny"
    for name in (
        "recipe.yaml",
        "splits.json",
        "fingerprint.json",
        "plan.yaml",
        "metrics.json",
        "fold_0/checkpoints/best.ckpt",
        "fold_0/checkpoints/last.ckpt",
        "fold_0/validations.json",
    ):
        assert (run / name).is_file(), name
    held_out = json.loads((run / "splits.json").read_text())[0]["val"]
    for case in held_out:
        mask = nib.load(run / "predictions" / f"{case}.nii.gz")
        source = nib.load(phantom / "imagesTr" / f"{case}.nii.gz")
        assert mask.shape == source.shape and np.allclose(mask.affine, source.affine)
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics["cases"]) == set(held_out)

    before = {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file()}
    code, out, _ = cli("run", recipe)
    assert code == 0 and "unchanged" in out
    changed = [p for p, t in before.items() if p.stat().st_mtime_ns != t]
    assert {p.name for p in changed} <= {
        "plan.yaml",
        "splits.json",
        "sources.json",
        "index.json",
    }


def test_a_second_fold_lies_beside_the_first(cli, recipe, here):
    assert cli("run", recipe)[0] == 0
    code, _, err = cli("run", recipe, "data.fold=1")
    assert code == 0, err
    run = here / "runs" / "tiny"
    assert (run / "fold_0").is_dir() and (run / "fold_1").is_dir()
    splits = json.loads((run / "splits.json").read_text())
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics["cases"]) == {*splits[0]["val"], *splits[1]["val"]}


def test_fold_all_trains_on_every_case_and_metrics_say_so(cli, recipe, here):
    code, _, err = cli("run", recipe, "data.fold=all")
    assert code == 0, err
    run = here / "runs" / "tiny"
    assert (run / "fold_all" / "checkpoints" / "best.ckpt").is_file()
    assert "trained on every case" in json.loads((run / "metrics.json").read_text())["note"]


def test_json_output_is_json_alone(cli_json, recipe):
    assert cli_json("run", recipe)["classes"] == ["head", "tail"]


def test_another_recipe_in_a_folder_with_an_edited_plan_is_refused(cli, recipe, here):
    assert cli("plan", recipe)[0] == 0
    assert cli("plan", recipe, "seed=9")[0] == 0, "nothing was trained or edited"
    plan = here / "runs" / "tiny" / "plan.yaml"
    text, edits = re.subn(r"batch_size: \d+", "batch_size: 1", plan.read_text(), count=1)
    assert edits
    plan.write_text(text)
    code, _, err = cli("plan", recipe, "seed=8")
    assert code == 2 and "seed" in err and "--overwrite" in err


def test_a_small_network_and_a_single_case_are_told_as_they_are(cli, recipe):
    code, out, err = cli("run", recipe, "data.folds=6")
    assert code == 0, err
    assert re.search(r"UNet of [1-9][\d.]* k parameters on cpu, 5 cases to train on", out)
    assert re.search(r"predict +1 case into", out) and "1 cases" not in out


def test_fit_asks_before_it_goes_on_or_starts_over(cli, recipe, here):
    assert cli("fit", recipe)[0] == 0
    (here / "runs" / "tiny" / "stages.json").write_text("{}")
    code, _, err = cli("fit", recipe)
    assert code == 2 and "--resume" in err and "--overwrite" in err


def test_an_edit_of_the_plan_is_kept_and_used(cli, recipe, here):
    assert cli("plan", recipe)[0] == 0
    plan = here / "runs" / "tiny" / "plan.yaml"
    text = plan.read_text()
    line = next(line for line in text.splitlines() if line.startswith("  spacing:"))
    plan.write_text(text.replace(line, "  spacing: [2.0, 2.0, 2.0]"))
    code, out, err = cli("plan", recipe)
    assert code == 0, err
    assert "spacing: [2.0, 2.0, 2.0]  # edited" in plan.read_text()
    assert "spacing 2 x 2 x 2 mm" in out and "edits of spacing kept" in out


def test_the_recipe_wins_over_an_edited_plan(cli, recipe, here):
    assert cli("plan", recipe)[0] == 0
    plan = here / "runs" / "tiny" / "plan.yaml"
    plan.write_text(plan.read_text().replace("batch_size: 2", "batch_size: 3"))
    assert cli("plan", recipe)[0] == 0
    assert "batch_size: 2" in plan.read_text()


def test_values_of_a_plan_that_are_replaced_are_named(cli, recipe, here):
    assert "planned anew, other" not in cli("plan", recipe)[1]
    path = here / "runs" / "tiny" / "plan.yaml"
    path.write_text(path.read_text().replace("batch_size: 2", "batch_size: 3"))
    assert "the recipe sets batch_size" in cli("plan", recipe)[1]
    assert "the recipe sets" not in cli("plan", recipe)[1]
    # As in the plan of another run: what stands there is what was planned.
    path.write_text(path.read_text().replace('"nonzero"', '"none"'))
    assert "planned anew, other than plan.yaml said: crop" in cli("plan", recipe)[1]


def test_phantoms_brats_regions_train_and_decode(cli, here):
    (here / "b.yaml").write_text(
        "extends: base/mr\n"
        "data: {format: phantom, phantom: {kind: brats, cases: 5}, regions: true, workers: 0}\n"
        "plan: {patch_size: [16, 16, 16], features: [4, 8]}\n"
        "trainer: {steps: 1}\nlogger: none\n"
    )
    code, _, err = cli("run", "b.yaml")
    assert code == 0, err
    metrics = json.loads((here / "runs" / "b" / "metrics.json").read_text())
    assert metrics["classes"] == ["WT", "TC", "ET"]


def test_pictures_train_and_predict_in_two_dimensions(cli, here):
    (here / "c.yaml").write_text(
        "extends: base/2d\n"
        "data: {format: phantom, phantom: {kind: cells, cases: 5}, workers: 0}\n"
        "plan: {patch_size: [32, 32], features: [4, 8]}\n"
        "trainer: {steps: 1}\nlogger: none\n"
    )
    code, _, err = cli("run", "c.yaml")
    assert code == 0, err
    assert list((here / "runs" / "c" / "predictions").glob("*.png"))
