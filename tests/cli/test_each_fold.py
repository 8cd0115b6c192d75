import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from medseg.cli import main
from medseg.stages import side_by_side


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny):
    """Train both folds; give the command's words and the run's folder."""
    folder = tmp_path_factory.mktemp("each_fold")
    (folder / "tiny.yaml").write_text(tiny)
    words = ["run", str(folder / "tiny.yaml"), "data.folds=2", f"run_dir={folder / 'run'}"]
    assert main([*words, "--each-fold", "-q"]) == 0
    return words, folder / "run"


def test_each_fold_is_trained_once_and_scored_with_the_others(cli, run, phantom):
    words, folder = run
    splits = json.loads((folder / "splits.json").read_text())
    metrics = json.loads((folder / "metrics.json").read_text())
    assert sorted(path.name for path in folder.glob("fold_*")) == ["fold_0", "fold_1"]
    assert set(metrics["cases"]) == {path.name[:-7] for path in (phantom / "imagesTr").iterdir()}
    assert {name: fold["cases"] for name, fold in metrics["folds"].items()} == {
        f"fold_{i}": split["val"] for i, split in enumerate(splits)
    }
    for name in ("fold_0", "fold_1"):
        dice = [metrics["cases"][c]["head"]["dice"] for c in metrics["folds"][name]["cases"]]
        found = metrics["folds"][name]["per_class"]["head"]["dice"]
        assert found["mean"] == pytest.approx(np.mean(dice))

    before = {p: p.stat().st_mtime_ns for p in folder.glob("fold_*/checkpoints/*.ckpt")}
    code, out, _ = cli(*words, "--each-fold")
    assert code == 0 and out.count("is trained, unchanged") == 2
    assert all(p.stat().st_mtime_ns == t for p, t in before.items())


def test_a_fold_that_is_missing_is_trained_and_the_finished_one_kept(cli, recipe, here):
    assert cli("run", recipe, "data.folds=2", "data.fold=1")[0] == 0
    folder = here / "runs" / "tiny"
    before = (folder / "fold_1" / "checkpoints" / "best.ckpt").stat().st_mtime_ns
    code, out, err = cli("run", recipe, "--each-fold", "data.folds=2")
    assert code == 0, err
    assert "fold_1 is trained, unchanged" in out
    assert (folder / "fold_1" / "checkpoints" / "best.ckpt").stat().st_mtime_ns == before
    assert (folder / "fold_0" / "checkpoints" / "best.ckpt").is_file()


def test_folds_side_by_side_give_what_folds_in_turn_do(cli, recipe, run, here, monkeypatch):
    _, folder = run
    monkeypatch.setattr(side_by_side, "places", lambda recipe: [(), ()])
    code, out, err = cli("run", recipe, "--each-fold", "data.folds=2", "run_dir=runs/apart")
    assert code == 0, err
    apart = here / "runs" / "apart"
    assert out.count("is trained, unchanged") == 2 and "fold 1 begins" in out
    assert "steps" in (apart / "logs" / "fold_1.log").read_text()
    metrics = [json.loads((at / "metrics.json").read_text()) for at in (folder, apart)]
    assert metrics[0]["folds"].keys() == metrics[1]["folds"].keys()
    assert metrics[0]["mean"]["dice"] == pytest.approx(metrics[1]["mean"]["dice"], abs=1e-3)


def test_a_fold_that_cannot_be_learnt_is_known_before_any_is_trained(cli, recipe, here, phantom):
    shutil.copytree(phantom, here / "lacking")
    for path in sorted((here / "lacking" / "labelsTr").iterdir())[1:]:
        label = nib.load(path)
        head_only = np.minimum(np.asarray(label.dataobj), 1)
        nib.save(nib.Nifti1Image(head_only, label.affine), path)
    words = (recipe, "data.root=lacking", "data.folds=2", "run_dir=runs/lacking")
    code, _, err = cli("run", *words, "--each-fold")
    assert code == 2 and "cannot learn class 'tail': no training case has it" in err
    assert not list((here / "runs" / "lacking").glob("fold_*/checkpoints"))


def test_naming_a_fold_beside_each_fold_is_a_contradiction(cli, recipe):
    for word in ("data.fold=1", "data.fold=all"):
        code, _, err = cli("run", recipe, "--each-fold", word)
        assert code == 2 and word in err and "every fold" in err
    recipe.write_text(recipe.read_text() + "data.fold: all\n")
    assert cli("run", recipe, "--each-fold")[0] == 2


def test_extending_each_fold_at_once_is_refused(cli, recipe):
    code, _, err = cli("run", recipe, "--each-fold", "--extend", "3")
    assert code == 2 and "one fold at a time" in err


def test_own_splits_with_more_folds_than_stated_are_refused(cli, recipe, here, phantom):
    names = sorted(path.name[:-7] for path in (phantom / "imagesTr").iterdir())
    own = [{"train": names[:i] + names[i + 1 :], "val": [names[i]]} for i in range(4)]
    (here / "own.json").write_text(json.dumps(own))
    code, _, err = cli("run", recipe, "--each-fold", "data.folds=3", "data.splits=own.json")
    assert code == 2 and "data.folds=4" in err


def test_runs_are_averaged_with_each_other(cli, run, recipe, phantom, here):
    _, folder = run
    other = ["run", recipe, "run_dir=runs/coarse", "plan.spacing=2", "seed=3"]
    assert cli(*other)[0] == 0
    image = next((phantom / "imagesTr").iterdir())
    code, _, err = cli("predict", folder, image, "--with", "runs/coarse", "-o", "masks")
    assert code == 0, err
    mask, source = nib.load(here / "masks" / image.name), nib.load(image)
    assert mask.shape == source.shape and np.allclose(mask.affine, source.affine)


def test_two_runs_are_compared(cli, cli_json, run, recipe, here):
    _, folder = run
    assert cli("run", recipe, "data.folds=2", "run_dir=runs/other", "seed=3")[0] == 0
    held_out = json.loads((folder / "splits.json").read_text())[0]["val"]
    code, out, err = cli("compare", folder, "runs/other")
    assert code == 0, err
    assert "overall" in out and "left out" in err
    found = cli_json("compare", folder, "runs/other/metrics.json", "--metric", "iou")
    assert found["n_common"] == len(held_out) and found["metric"] == "iou"
    assert sorted(found["only_a"]["cases"] + held_out) == sorted(
        json.loads((folder / "metrics.json").read_text())["cases"]
    )


SCORES = '{"schema": 1, "n_cases": 1, "classes": ["x"], "cases": {"a": {"x": {"dice": %s}}}}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such run"),
        ("[]", "no metrics.json"),
        ('{"n_cases": 1, "cases": {"a": 1}}', "no metrics.json"),
        (SCORES % '"0.5"', "no metrics.json"),
        (SCORES % 'null, "volume_ref_ml": null', "no metrics.json"),
        ('{"schema": 1, "n_cases": 0, "note": "trained on every case"}', "scored no case"),
    ],
)
def test_what_holds_no_scores_cannot_be_compared(cli, here, text, message):
    if text is not None:
        (here / "m.json").write_text(text)
    code, _, err = cli("compare", "m.json", "m.json")
    assert code == 2 and message in err and "Traceback" not in err
