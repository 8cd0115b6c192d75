from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from medseg.cli import main
from medseg.data import formats
from medseg.data.prepare.headers import grid_of
from medseg.data.prepare.reference_boxes import reference_boxes
from medseg.geometry.boxes import Boxes
from medseg.inference.detection.keep_file import NAME, read
from medseg.inference.detection.result import Detections
from medseg.stages import plan_boxes, plan_file

RECIPE = """\
task: detection
data: {root: "PHANTOM", workers: 0, folds: 2}
network: {name: retina_net, channels: 8}
plan: {patch_size: 32, features: [4, 8, 8], spacing: 2}
trainer: {steps: 2, accelerator: cpu, precision: "32"}
logger: none
"""


def plant(run, phantom, *, seed=0):
    """Put boxes in place of the predictions: the objects, doubles of them, and small alarms."""
    rng = np.random.default_rng(seed)
    dataset = formats.read(phantom, objects="components")
    for case in dataset.cases:
        grid = grid_of(case.images[0])
        objects = reference_boxes(case, dataset, grid)
        n = len(objects)
        doubles = objects.corners + np.tile(0.25 * objects.sizes, 2) * [0, 0, 1, 0, 0, 1]
        sure = rng.uniform(0.5, 0.9, n)
        dust = np.tile(rng.integers(0, 12, (n, 3)), 2) + np.repeat([[0, 2]], 3, axis=1)
        boxes = Boxes(
            np.concatenate([objects.corners, doubles, dust]),
            np.tile(objects.classes, 3),
            np.concatenate([sure, sure - 0.05, rng.uniform(0.3, 0.8, n)]),
        )
        Detections(boxes.clip(grid.shape), grid, dataset.labels.foreground).save(
            run / "predictions" / f"{case.id}.json"
        )


@pytest.fixture(scope="module")
def trained(tmp_path_factory, phantom):
    """A cross-validated run of two folds, and its recipe."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "find.yaml").write_text(RECIPE.replace("PHANTOM", str(phantom)))
    words = [str(folder / "find.yaml"), f"run_dir={folder / 'run'}", "--each-fold", "-q"]
    assert main(["run", *words]) == 0
    return folder


@pytest.fixture
def run(trained, here, phantom):
    """A copy of it whose boxes leave much to gain."""
    shutil.copytree(trained / "run", here / "run")
    plant(here / "run", phantom)
    (here / "run" / NAME).unlink()
    return here / "run"


@pytest.fixture
def words(trained, here):
    return [trained / "find.yaml", f"run_dir={here / 'run'}"]


def metrics_of(run):
    return json.loads((run / "metrics.json").read_text())


def test_each_fold_ends_with_a_choice_scores_curves_and_pictures(trained):
    run = trained / "run"
    assert "6 held-out cases of 2 folds" in (run / NAME).read_text() and not read(run / NAME).edited
    metrics = metrics_of(run)
    assert set(metrics["folds"]) == {"fold_0", "fold_1"} and metrics["n_cases"] == 6
    assert metrics["kept"]["by"] == "other folds"
    assert metrics["kept"]["rule"] == read(run / NAME).rule.to_dict()
    for picture in [run / "froc.png", *(run / "overlays" / f"{c}.png" for c in metrics["cases"])]:
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_postprocess_writes_what_helps_and_judges_it_by_other_cases(cli_json, run):
    found = cli_json("postprocess", run)
    rule = read(run / NAME).rule
    assert found["file"] == str(run / NAME) and found["rule"] == rule.to_dict()
    assert rule.nms is not None and set(rule.min_size) == {"head", "tail"}
    metrics = metrics_of(run)
    for key in ("map", "cpm", "f1"):
        assert found[key]["before"] < found[key]["after"]
    assert found["map"] == {
        "before": metrics["mean"]["map"],
        "after": metrics["kept"]["mean"]["map"],
    }
    # The boxes on disk stay as the networks found them.
    case = next(iter(metrics["cases"]))
    assert len(json.loads((run / "predictions" / f"{case}.json").read_text())["objects"]) == 6
    assert cli_json("postprocess", run) == found


def test_the_plan_says_it_and_the_training_stays_valid(cli, cli_json, run, words):
    before = plan_file.read(run / "plan.yaml")
    weights = {path: path.stat().st_mtime_ns for path in run.rglob("best.ckpt")}
    cli_json("postprocess", run)
    lines = [f"# Boxes: {line}" for line in plan_boxes.lines(run)]
    assert lines and lines == [
        line for line in (run / "plan.yaml").read_text().splitlines() if line.startswith("# Boxes")
    ]
    assert plan_file.read(run / "plan.yaml") == before
    code, _, err = cli("run", *words, "--each-fold")
    assert code == 0, err
    assert {path: path.stat().st_mtime_ns for path in run.rglob("best.ckpt")} == weights


def test_an_edit_is_never_replaced_unasked_and_scored_as_it_stands(cli, cli_json, run):
    cli_json("postprocess", run)
    edited = "detection: {nms: 0.3, score: {head: 0.58}}\n"
    (run / NAME).write_text(edited)
    code, _, err = cli("postprocess", run)
    assert code == 2 and "--overwrite" in err and (run / NAME).read_text() == edited
    code, out, err = cli("run", run / "recipe.yaml", f"run_dir={run}", "data.fold=1")
    assert code == 0, err
    assert "written by hand" in out and (run / NAME).read_text() == edited
    kept = metrics_of(run)["kept"]
    assert kept["by"] == "hand" and kept["rule"]["nms"] == 0.3
    cli_json("postprocess", run, "--overwrite")
    assert not read(run / NAME).edited
    (run / NAME).write_text("detection: {score: {hat: 0.5}}\n")
    code, _, err = cli("run", run / "recipe.yaml", f"run_dir={run}", "data.fold=1")
    assert code == 2 and "no class 'hat'" in err


def test_none_in_the_recipe_leaves_all_boxes(cli, cli_json, run, words):
    cli_json("postprocess", run)
    code, _, err = cli("run", *words, "inference.postprocessing=none")
    assert code == 0, err
    assert "kept" not in metrics_of(run)
    code, _, err = cli("postprocess", run)
    assert code == 2 and "inference.postprocessing" in err


def test_one_fold_is_judged_by_its_other_cases_or_not_at_all(cli, cli_json, run):
    shutil.rmtree(run / "fold_1")
    code, out, err = cli("postprocess", run)
    assert code == 0, err
    assert "3 held-out cases of one fold" in (run / NAME).read_text() and "--each-fold" in out
    assert metrics_of(run)["kept"]["by"] == "other cases"
    for path in list((run / "predictions").glob("*.json")):
        if path.stem in json.loads((run / "splits.json").read_text())[0]["val"][1:]:
            path.unlink()
    found = cli_json("postprocess", run)
    assert found["map"]["after"] is None and found["map"]["before"] is not None
    assert metrics_of(run)["kept"]["by"] is None


def test_without_held_out_boxes_the_command_that_makes_them_is_named(cli, run):
    shutil.rmtree(run / "predictions")
    code, _, err = cli("postprocess", run)
    assert code == 2 and "medseg run RECIPE" in err and "held-out" in err


def test_held_out_cases_without_boxes_are_named(cli, run):
    lost = sorted((run / "predictions").glob("*.json"))[0]
    lost.unlink()
    code, _, err = cli("postprocess", run)
    assert code == 0 and f"no boxes of {lost.stem}, which trained folds held out" in err
    assert metrics_of(run)["n_cases"] == 5


def test_a_damaged_prediction_is_named(cli, run):
    file = sorted((run / "predictions").glob("*.json"))[0]
    file.write_text(file.read_text().replace('"score": ', '"score": NaN, "was": ', 1))
    code, _, err = cli("postprocess", run)
    assert code == 2 and file.name in err and "no finite number" in err


def test_boxes_of_other_weights_are_noticed(cli, cli_json, run):
    import torch

    cli_json("postprocess", run)
    best = run / "fold_0" / "checkpoints" / "best.ckpt"
    content = torch.load(best, weights_only=True)
    content["state_dict"] = {
        key: value * 1.01 if value.is_floating_point() else value
        for key, value in content["state_dict"].items()
    }
    torch.save(content, best)
    code, _, err = cli("run", run / "recipe.yaml", f"run_dir={run}", "data.fold=1")
    assert code == 0 and "other weights than fold_0 has" in " ".join(err.split()), err


def test_a_training_on_all_cases_keeps_the_scores_of_the_folds(cli, run, words):
    before = metrics_of(run)
    code, out, err = cli("run", *words, "data.fold=all")
    assert code == 0, err
    assert "keeps what folds gave" in out and metrics_of(run) == before


def test_runs_are_compared_and_chosen_by_what_they_find(cli, cli_json, run, trained, here, phantom):
    shutil.copytree(trained / "run", here / "other")
    for one in ("run", "other"):
        cli_json("postprocess", here / one, "--overwrite")
    found = cli_json("compare", "other", "run")
    assert found["metric"] == "map" and found["overall"]["difference"] > 0
    assert found["overall"]["score_b"] == pytest.approx(metrics_of(run)["mean"]["map"])
    code, out, err = cli("compare", "other", "run", "--metric", "cpm")
    assert code == 0 and "cpm (higher is better) of 6 cases" in out, err
    code, _, err = cli("compare", "other", "run", "--metric", "dice")
    assert code == 2 and "map, cpm, ap_0.1" in err
    choice = cli_json("choose", "other", "run", "-o", "choice")
    assert {len(one["runs"]) for one in choice["candidates"]} == {1, 2}
    scores = [one["map"] for one in choice["candidates"]]
    assert scores == sorted(scores, reverse=True)
    pair = json.loads(next((here / "choice").glob("*/metrics.json")).read_text())
    assert set(pair["cases"]) == set(metrics_of(run)["cases"]) and set(pair["folds"])
    assert choice["command"].endswith("-o BOXES") and str(choice["best"][0]) in choice["command"]
    code, out, err = cli("choose", "other", "run", "-o", "choice", "--overwrite")
    assert code == 0 and "cross-validated mAP" in out, err
    # Masks and boxes have nothing in common.
    (here / "masks").mkdir()
    masks = {"schema": 1, "n_cases": 1, "classes": ["a"], "cases": {"c": {"a": {"dice": 1.0}}}}
    (here / "masks" / "metrics.json").write_text(json.dumps(masks))
    code, _, err = cli("compare", "masks", "run")
    assert code == 2 and "no score in common" in err and "a detection" in err
    shutil.copy(run / "splits.json", here / "masks")
    masks["folds"] = {"fold_0": {}, "fold_1": {}}
    (here / "masks" / "metrics.json").write_text(json.dumps(masks))
    code, _, err = cli("choose", "masks", "run", "-o", "third")
    assert code == 2 and "a segmentation" in err


def test_another_rule_of_a_hit_scores_anew_and_trains_nothing(cli, run, words):
    assert cli("run", *words)[0] == 0  # the copied run lies elsewhere: its boxes are made anew
    weights = {path: path.stat().st_mtime_ns for path in run.rglob("best.ckpt")}
    boxes = {path: path.stat().st_mtime_ns for path in (run / "predictions").iterdir()}
    code, _, err = cli("run", *words, "detection.hit=iou")
    assert code == 0, err
    assert metrics_of(run)["hit"] == "IoU >= 0.1"
    assert {path: path.stat().st_mtime_ns for path in run.rglob("best.ckpt")} == weights
    assert {path: path.stat().st_mtime_ns for path in boxes} == boxes
