"""What doctor says about both stages of a cascade, and about videos, before anything is trained."""

import json
import re
import shutil

import pytest

from medseg.cli import main
from medseg.stages.forecast import Forecast

FOLDS = ("data.folds=2", "trainer.ema=null")
COARSE = ("cascade.first=coarse", "cascade.spacing=3", "cascade.margin=2")


@pytest.fixture(scope="module")
def cropped(tmp_path_factory, tiny):
    """A cascade by crop, trained: the run's folder."""
    folder = tmp_path_factory.mktemp("cropped")
    (folder / "tiny.yaml").write_text(tiny)
    words = ("run", str(folder / "tiny.yaml"), *FOLDS, *COARSE, "trainer.steps=8")
    assert main([*words, f"run_dir={folder / 'run'}", "-q"]) == 0
    return folder / "run"


@pytest.fixture
def rows(cli):
    """Run doctor on a recipe: exit code, rows by name, standard error."""

    def run(*words):
        code, out, err = cli("doctor", *words, "--json")
        return code, {row["name"]: row for row in json.loads(out or "[]")}, err

    return run


def test_both_stages_are_looked_at_and_nothing_is_left(rows, recipe, here, monkeypatch):
    before = sorted(here.rglob("*"))
    monkeypatch.setattr("medseg.stages.dry_look.run_folder_bytes", lambda *_, **__: 2**30)
    # One fold takes 100 s beside the 10 s that all prepare in.
    guess = Forecast(1.0, 9, 10.0, 2.0, 90.0, 110.0, 0.5)
    monkeypatch.setattr("medseg.stages.dry_look.forecast", lambda *_: guess)
    code, found, err = rows(recipe, *FOLDS, *COARSE)
    assert code == 0, err
    assert "2 folds of the first stage, then the second" in found["cascade"]["need"]
    for name in ("training step", "memory", "time of a step", "training"):
        assert {name, f"first stage: {name}"} <= found.keys()
    # Of the first stage two folds, of the second one.
    assert "checkpoints and predictions 3.00 GiB" in found["disk"]["need"]
    assert found["time from start to end"]["need"] == "5 min, 3 trainings"  # 10 + 2 * 100 + 110 s
    assert sorted(here.rglob("*")) == before
    code, found, err = rows(recipe, *FOLDS, *COARSE, "cascade.out_of_fold=false")
    assert code == 0, err
    assert "checkpoints and predictions 2.00 GiB" in found["disk"]["need"]


def test_the_first_stage_is_planned_at_its_own_spacing(rows, recipe):
    words = (*FOLDS, "cascade.first=coarse", "cascade.spacing=4", "plan.patch_size=16")
    code, found, err = rows(recipe, *words)
    assert code == 0, err
    patches = {
        name: [int(n) for n in re.findall(r"\d+", found[name]["need"].split("patch ")[1])]
        for name in ("first stage: training step", "training step")
    }
    assert patches["training step"] == [16, 16, 16]
    # 24 x 28 x 20 voxels of 1 mm are 6 x 7 x 5 of 4 mm.
    assert max(patches["first stage: training step"]) <= 8


def test_what_does_not_fit_the_first_stage_alone_is_said_of_it(rows, recipe, monkeypatch):
    from medseg.stages import needs

    step = needs._memory

    def memory(fitted, seen, dataset):
        if "first" in seen.recipe.name:
            monkeypatch.setattr(needs, "memory_available", lambda: 1000)
        else:
            monkeypatch.setattr(needs, "memory_available", lambda: 2**40)
        return step(fitted, seen, dataset)

    monkeypatch.setattr(needs, "_memory", memory)
    code, found, err = rows(recipe, *FOLDS, *COARSE, "data.cache=disk")
    assert code == 2
    assert found["memory"]["fits"] and not found["first stage: memory"]["fits"]
    assert "first stage: memory: does not fit" in err and "cascade.spacing" in err


def test_data_without_a_low_resolution_stage_are_told_as_by_a_training(cli, recipe, here):
    free = ("plan.patch_size=null", "plan.features=null", "plan.batch_size=null")
    words = (recipe, *FOLDS, *free, "cascade.first=lowres")
    code, _, said = cli("doctor", *words)
    assert code == 2 and "nothing to gain" in said
    assert not (here / "runs").exists()
    code, _, err = cli("run", *words)
    assert code == 2 and err.splitlines()[-1] == said.splitlines()[-1]


def test_a_first_stage_that_is_missing_is_refused(cli, recipe):
    code, _, err = cli("doctor", recipe, *FOLDS, "cascade.first=runs/missing")
    assert code == 2 and "is not trained" in err and "runs/missing" in err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": {"values": {"background": 0, "organ": 1}}}, "other labels"),
        ({"channels": ["T1", "T2"]}, "other channels"),
        ({"cases": []}, "another data set"),
    ],
)
def test_a_first_stage_of_something_else_is_refused(cli, cropped, recipe, here, change, message):
    first = shutil.copytree(cropped / "first", here / "other")
    file = first / "fingerprint.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    code, _, err = cli("doctor", recipe, *FOLDS, f"cascade.first={first}")
    assert code == 2 and message in err and str(first) in err


def test_folds_that_a_first_stage_lacks_are_named(cli, cropped, recipe, here):
    first = shutil.copytree(cropped / "first", here / "half")
    splits = json.loads((first / "splits.json").read_text())
    for case in splits[1]["val"]:
        (first / "predictions" / f"{case}.nii.gz").unlink()
    code, _, err = cli("doctor", recipe, *FOLDS, f"cascade.first={first}")
    assert code == 2 and "missing: fold 1" in err
    shutil.rmtree(first / "fold_1")
    words = (f"cascade.first={first}", "cascade.out_of_fold=false", "data.fold=1")
    code, _, err = cli("doctor", recipe, *FOLDS, *words)
    assert code == 2 and "has not trained this fold" in err


def test_of_a_first_stage_only_what_is_left_counts(rows, cropped, recipe, here):
    run = shutil.copytree(cropped, here / "copy")
    words = (recipe, *FOLDS, *COARSE, "trainer.steps=8", f"run_dir={run}")
    code, found, err = rows(*words)
    assert code == 0, err
    # Judged by what crops.json says is left of the images, as its plan.yaml is.
    assert "the first stage is trained" in found["cascade"]["need"]
    assert "cropped images" in found["cascade"]["need"]
    assert not any(name.startswith("first stage") for name in found)
    splits = json.loads((run / "first" / "splits.json").read_text())
    (run / "first" / "predictions" / f"{splits[1]['val'][0]}.nii.gz").unlink()
    code, found, err = rows(*words)
    assert code == 0, err
    assert "one fold of the first stage" in found["cascade"]["need"]


def test_cases_that_no_fold_holds_out_are_known_before_the_first_stage_is_trained(
    cli, recipe, here, phantom
):
    ids = sorted(path.name[:-7] for path in (phantom / "labelsTr").glob("*.nii.gz"))
    (here / "one.json").write_text(json.dumps([{"train": ids[1:], "val": ids[:1]}]))
    code, _, err = cli("doctor", recipe, *COARSE, "data.splits=one.json")
    assert code == 2 and "no fold of the first stage holds out these cases" in err
    assert (
        cli("doctor", recipe, *COARSE, "data.splits=one.json", "cascade.out_of_fold=false")[0] == 0
    )


def test_videos_are_judged_without_a_trace_in_the_run(cli, rows, here, echonet_data):
    root = echonet_data.write()
    assert cli("init", root)[0] == 0
    tiny = ("plan.patch_size=16", "plan.features=[4, 8]", "plan.batch_size=2", "data.workers=0")
    words = ("echonet_dynamic.yaml", *tiny, "trainer.budget=null", "trainer.steps=2")
    before = sorted(here.rglob("*"))
    for _ in range(2):
        code, found, err = rows(*words)
        assert code == 0, err
        assert found["data"]["need"].startswith("6 cases")
    assert sorted(here.rglob("*")) == before


def test_frames_that_were_cut_before_ctrl_c_are_taken_up_again(
    cli, here, echonet_data, monkeypatch
):
    root = echonet_data.write()
    assert cli("init", root)[0] == 0
    cut, written = "medseg.data.prepare.echonet._write", []

    def interrupted(video, folder):
        if written:
            raise KeyboardInterrupt
        written.append(write(video, folder))
        return written[0]

    from medseg.data.prepare.echonet import _write as write

    with monkeypatch.context() as patch:
        patch.setattr(cut, interrupted)
        assert cli("inspect", "echonet_dynamic.yaml")[0] != 0
    run = here / "runs" / "echonet_dynamic"
    assert list(run.glob("echonet_*/frames/*.png")) and not (run / "recipe.yaml").exists()
    code, _, err = cli("inspect", "echonet_dynamic.yaml")
    assert code == 0, err
    assert (run / "recipe.yaml").is_file()
