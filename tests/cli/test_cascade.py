"""Both kinds of cascades, from a recipe to masks, and what can be wrong with them."""

import json
import os
import re
import shlex
import shutil
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from medseg import build
from medseg.cli import first_stage, main
from medseg.cli.parser import build_parser
from medseg.data import phantoms
from medseg.data.prepare.boxes import guided_box
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.inference import Predictor
from medseg.labels import LabelScheme
from medseg.planning.guidance import Guidance
from medseg.recipe import load
from medseg.stages import side_by_side

FOLDS = ("data.folds=2", "trainer.ema=null")
LOWRES = ("cascade.first=lowres", "cascade.spacing=2")
LABELS = LabelScheme({"background": 0, "head": 1, "tail": 2})
FREE = ("plan.patch_size=null", "plan.features=null", "plan.batch_size=null")
COARSE = ("cascade.first=coarse", "cascade.spacing=3", "cascade.margin=2", "cascade.use=both")


def trained(folder, tiny, *words):
    folder.mkdir(exist_ok=True)
    (folder / "tiny.yaml").write_text(tiny)
    command = ["run", str(folder / "tiny.yaml"), *FOLDS, *words, f"run_dir={folder / 'run'}"]
    assert main([*command, "-q"]) == 0
    return command, folder / "run"


@pytest.fixture(scope="module")
def lowres(tmp_path_factory, tiny):
    """A cascade by channels: the command's words, and the run's folder."""
    return trained(tmp_path_factory.mktemp("lowres"), tiny, *LOWRES)


@pytest.fixture(scope="module")
def coarse(tmp_path_factory, tiny):
    """A cascade by crop and channels."""
    return trained(tmp_path_factory.mktemp("coarse"), tiny, *COARSE, "trainer.steps=8")


def copied(run, here):
    """Copy a run, which a test may spoil."""
    return shutil.copytree(run, here / "copy")


def indices(path):
    return np.asarray(nib.load(path).dataobj).astype(np.uint8)


def stopped(*_, **__):
    raise InputError("stopped")


def changed(run):
    files = [*run.rglob("*.ckpt"), *run.rglob("predictions/*.nii.gz")]
    return {path: path.stat().st_mtime_ns for path in files}


def weights(run):
    return {path: time for path, time in changed(run).items() if path.suffix == ".ckpt"}


@pytest.fixture(params=["lowres", "coarse"])
def either(request):
    return request.getfixturevalue(request.param)


def test_the_first_stage_predicts_every_case_that_the_second_learns_from(either, phantom):
    _, run = either
    cases = {path.name for path in (phantom / "imagesTr").iterdir()}
    assert {p.name for p in (run / "first" / "predictions").glob("*.nii.gz")} == cases
    assert sorted(p.name for p in (run / "first").glob("fold_*")) == ["fold_0", "fold_1"]
    assert sorted(p.name for p in run.glob("fold_*")) == ["fold_0"]
    assert (run / "splits.json").read_text() == (run / "first" / "splits.json").read_text()
    entries = list(run.glob("cache/*/case.json"))
    assert len(entries) == len(cases)
    for entry in entries:
        case = json.loads(entry.read_text())["id"]
        guide, label = (np.load(entry.parent / f"{name}.npy") for name in ("guide", "label"))
        found = indices(run / "first" / "predictions" / f"{case}.nii.gz")
        assert guide.shape == label.shape and set(np.unique(guide)) <= set(np.unique(found))
        assert guide.any() == found.any()


def test_the_same_command_finds_everything_done(cli, either):
    words, run = either
    before = changed(run)
    code, out, err = cli(*words)
    assert code == 0, err
    assert out.count("is trained, unchanged") == 3
    assert changed(run) == before
    assert out.count("to segment new images") == 1, "of both stages, at the end"
    code, out, err = cli(*words, "--first-stage")
    assert code == 0, err
    assert out.count("to segment new images") == 1


def test_masks_lie_on_the_scanners_grid_and_within_the_box(coarse, phantom):
    _, run = coarse
    crops = json.loads((run / "crops.json").read_text())
    held_out = json.loads((run / "splits.json").read_text())[0]["val"]
    assert held_out
    boxed = 0
    for case, crop in crops.items():
        source = nib.load(phantom / "imagesTr" / f"{case}.nii.gz")
        guide = indices(run / "first" / "predictions" / f"{case}.nii.gz")
        box = guided_box(guide, Grid(guide.shape, source.affine), 2.0)
        assert crop["empty"] == (box is None)
        if case not in held_out:
            continue
        mask = nib.load(run / "predictions" / f"{case}.nii.gz")
        assert mask.shape == source.shape and np.allclose(mask.affine, source.affine)
        if box is not None:
            boxed += 1
            outside = np.ones(guide.shape, bool)
            outside[tuple(map(slice, *box))] = False
            assert not indices(run / "predictions" / f"{case}.nii.gz")[outside].any()
            reference = indices(phantom / "labelsTr" / f"{case}.nii.gz") > 0
            kept = 1 - (reference & outside).sum() / reference.sum()
            assert crop["kept"] == pytest.approx(kept)
    assert boxed


def test_command_and_import_give_the_same_masks(cli, either, phantom, here):
    _, run = either
    image = next((phantom / "imagesTr").iterdir())
    code, _, err = cli("predict", run, image, "-o", "masks", "--device", "cpu")
    assert code == 0, err
    predictor = Predictor.load(run, device="cpu")
    assert np.array_equal(predictor(image).data, indices(here / "masks" / image.name))
    assert len(predictor.first_stage.networks) == 2
    by_hand = predictor.first_stage(image).data
    assert by_hand.shape == indices(here / "masks" / image.name).shape


def test_a_run_is_moved_with_its_first_stage(cli, lowres, phantom, here):
    _, run = lowres
    image = next((phantom / "imagesTr").iterdir())
    assert cli("predict", run, image, "-o", "before", "--device", "cpu")[0] == 0
    moved = copied(run, here)
    assert cli("predict", moved, image, "-o", "after", "--device", "cpu")[0] == 0
    (moved / "first").rename(here / "first_run")
    code, _, err = cli("predict", moved, image, "-o", "lost")
    assert code == 2 and "--first" in err and not (here / "lost").exists()
    assert cli("predict", moved, image, "-o", "named", "--first", "first_run")[0] == 0
    for folder in ("after", "named"):
        assert np.array_equal(
            indices(here / folder / image.name), indices(here / "before" / image.name)
        )
    code, _, err = cli("predict", run, image, "--with", moved, "--first", "first_run", "-o", "both")
    assert code == 2 and "--first names" in err


def test_a_run_that_is_trained_is_a_first_stage_too(cli, lowres, recipe, here):
    _, run = lowres
    words = (*FOLDS, f"cascade.first={run / 'first'}", "run_dir=runs/second", "data.fold=1")
    code, _, err = cli("run", recipe, *words, "cascade.use=crop", "cascade.margin=1")
    assert code == 0, err
    assert not (here / "runs" / "second" / "first").exists()
    assert not list((here / "runs" / "second").glob("cache/*/guide.npy"))
    assert (here / "runs" / "second" / "metrics.json").is_file()


def test_a_cascade_goes_on_from_a_single_stage_and_a_single_stage_from_it(
    cli, lowres, recipe, here
):
    _, run = lowres
    words = (*FOLDS, "plan.features=null")
    for name, source, cascade, zero in (
        ("guided", run / "first", f"cascade.first={run / 'first'}", True),
        ("single", run, "cascade.first=null", False),
    ):
        code, _, err = cli(
            *("fit", recipe, *words, cascade, f"transfer.from={source}", f"run_dir=runs/{name}")
        )
        assert code == 0, err
        said = json.loads((here / "runs" / name / "fold_0" / "transfer.json").read_text())
        (first,) = said["adapted"]
        assert said["share"] == 1.0 and not said["new"] and not said["unused"]
        assert first["how"].startswith("kept MRI; mask of head, mask of tail: ")
        assert first["how"].endswith("zero" if zero else "left out")
        assert first.get("zero", []) == (["mask of head", "mask of tail"] if zero else [])


def test_missing_predictions_are_named_with_the_command_that_makes_them(cli, lowres, recipe, here):
    first = copied(lowres[1], here) / "first"
    splits = json.loads((first / "splits.json").read_text())
    lost = splits[1]["val"][0]
    (first / "predictions" / f"{lost}.nii.gz").unlink()
    words = (*FOLDS, f"cascade.first={first}", "run_dir=runs/second")
    code, _, err = cli("fit", recipe, *words)
    assert code == 2
    assert lost in err and "fold 1" in err and "fold 0" not in err
    # Copied, the run's recipe still names the place that it was copied from.
    assert f"medseg run {first / 'recipe.yaml'} run_dir={first} data.fold=1" in err


def test_a_first_stage_that_is_not_trained_is_named(cli, recipe):
    code, _, err = cli("fit", recipe, *FOLDS, *LOWRES)
    assert code == 2 and "is not trained" in err and "medseg run RECIPE" in err
    code, _, err = cli("plan", recipe, *FOLDS, "cascade.first=runs/none", "run_dir=runs/b")
    assert code == 2 and "runs/none" in err and "cascade.first=RUN" in err
    code, _, err = cli("plan", recipe, *FOLDS, "cascade.first=runs/b", "run_dir=runs/b")
    assert code == 2 and "its own first stage" in err
    assert cli("inspect", recipe, *FOLDS, *LOWRES)[0] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": {"values": {"background": 0, "organ": 1}}}, "other labels"),
        ({"channels": ["T1", "T2"]}, "other channels"),
        ({"cases": []}, "another data set"),
    ],
)
def test_a_first_stage_of_something_else_is_refused(cli, lowres, recipe, here, change, message):
    first = copied(lowres[1], here) / "first"
    file = first / "fingerprint.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    words = (*FOLDS, f"cascade.first={first}", "run_dir=runs/second")
    code, _, err = cli("fit", recipe, *words)
    assert code == 2 and message in err and str(first) in err


def test_mistakes_in_the_second_stage_are_said_before_the_first_is_trained(
    cli, lowres, recipe, here
):
    code, _, err = cli("run", recipe, *FOLDS, *LOWRES, "--each-fold", "data.fold=1")
    assert code == 2 and "--each-fold" in err
    plain = f"transfer={{from: '{lowres[1] / 'first'}', regime: small}}"
    code, _, err = cli("run", recipe, *FOLDS, *LOWRES, plain)
    assert code == 2 and "never learn to look at the masks" in err
    full = here / "runs" / "full"
    full.mkdir(parents=True)
    (full / "notes.txt").write_text("mine")
    code, _, err = cli("run", recipe, *FOLDS, *LOWRES, f"run_dir={full}")
    assert code == 2 and "holds no run" in err
    assert not list((here / "runs").rglob("first"))


def test_a_first_stage_that_finds_nothing_at_all_is_nothing_to_crop_to(cli, lowres, recipe, here):
    first = copied(lowres[1], here) / "first"
    for path in (first / "predictions").glob("*.nii.gz"):
        mask = nib.load(path)
        nib.save(nib.Nifti1Image(np.zeros(mask.shape, np.uint8), mask.affine), path)
    words = (*FOLDS, f"cascade.first={first}", "cascade.use=crop", "run_dir=runs/second")
    for _ in range(2):  # what is known from the first time is refused as well
        code, _, err = cli("fit", recipe, *words)
        assert code == 2 and "found nothing in any case" in err and str(first) in err


def test_pictures_have_no_low_resolution_stage(cli, here):
    phantoms.write("cells", here / "cells", cases=4, seed=1)
    (here / "cells.yaml").write_text(
        "extends: base/2d\ndata: {root: cells, workers: 0, folds: 2}\ntrainer: {steps: 2}\n"
        "logger: none\ncascade: {first: lowres}\n"
    )
    code, _, err = cli("run", "cells.yaml")
    assert code == 2 and "cascade.first: lowres" in err and "pictures" in err and "coarse" in err


def test_data_without_a_low_resolution_stage_have_nothing_to_gain(cli, recipe, here):
    code, _, err = cli("run", recipe, *FOLDS, *FREE, "cascade.first=lowres")
    assert code == 2
    assert "nothing to gain" in err and "coarse" in err
    assert not list((here / "runs").rglob("*.ckpt"))


def test_one_fold_is_enough_if_that_is_asked_for(cli, recipe, here, monkeypatch):
    words = (*FOLDS, *LOWRES, "cascade.out_of_fold=false", "data.fold=1")
    code, _, err = cli("run", recipe, *words)
    assert code == 0, err
    run = here / "runs" / "tiny"
    assert [p.name for p in (run / "first").glob("fold_*")] == ["fold_1"]
    train = json.loads((run / "splits.json").read_text())[1]["train"]
    seen = {p.name[:-7] for p in (run / "guides" / "fold_1").glob("*.nii.gz")}
    assert seen == set(train)
    before = changed(run)
    assert cli("run", recipe, *words)[0] == 0 and changed(run) == before
    # Another network's masks must not pass for its own where predicting them was stopped.
    (best,) = (run / "first" / "fold_1").rglob("best.ckpt")
    os.utime(best, (1e9, 1e9))
    with monkeypatch.context() as patch:
        patch.setattr("medseg.stages.predict.predict_cases", stopped)
        assert cli("fit", recipe, *words)[0] == 2
    assert not list((run / "guides" / "fold_1").glob("*.nii.gz"))
    # What was held out of the first stage must be held out of the second.
    (here / "other.json").write_text(json.dumps([{"train": train[1:], "val": train[:1]}] * 2))
    other = (f"cascade.first={run / 'first'}", "cascade.out_of_fold=false", "data.fold=1")
    code, _, err = cli("fit", recipe, *FOLDS, *other, "run_dir=runs/o", "data.splits=other.json")
    assert code == 2 and "was trained on cases that are held out here" in err
    for first in ("lowres", run / "first"):
        with monkeypatch.context() as patch:
            patch.setattr("medseg.stages.fit.run", stopped)
            again = (*FOLDS, f"cascade.first={first}", words[-2], "run_dir=runs/each")
            code, _, err = cli("run", recipe, *again, "--each-fold")
        assert code == 2 and "out_of_fold" in err and "stopped" not in err


def test_folds_with_crops_of_their_own_share_the_plan_of_the_first(
    cli, coarse, recipe, here, phantom, monkeypatch
):
    first, run = copied(coarse[1], here) / "first", here / "runs" / "b"
    # What the network of one fold finds is small, what that of the other finds is large.
    sizes = {"fold_0": 8, "fold_1": 14}

    def find(path, fold):
        path.parent.mkdir(parents=True, exist_ok=True)
        label, size = nib.load(phantom / "labelsTr" / path.name), sizes[fold]
        head, tail = (np.argwhere(np.asarray(label.dataobj) == value) for value in (1, 2))
        # Where the two touch, so that both are in the box.
        voxel = head[np.abs(head[:, None] - tail[None]).sum(-1).min(1).argmin()]
        mask = np.zeros(label.shape, np.uint8)
        start = np.clip(voxel - size // 2, 0, np.array(label.shape) - size)
        mask[tuple(slice(a, a + size) for a in start)] = 1
        nib.save(nib.Nifti1Image(mask, label.affine), path)

    def find_each(_, cases, target, **__):
        for case in cases:
            find(target / f"{case.id}.nii.gz", target.name)

    for fold, split in enumerate(json.loads((first / "splits.json").read_text())):
        for case in split["val"]:
            find(first / "predictions" / f"{case}.nii.gz", f"fold_{fold}")
    words = (*FOLDS, f"cascade.first={first}", "cascade.out_of_fold=false", "cascade.use=crop")
    words = ("fit", recipe, *words, "cascade.margin=0", "plan.patch_size=null")
    monkeypatch.setattr("medseg.stages.predict.predict_cases", find_each)
    code, _, err = cli(*words, "run_dir=runs/b")
    assert code == 0, err
    before = {path: (run / path).read_bytes() for path in ("plan.yaml", "crops.json")}
    code, out, err = cli(*words, "run_dir=runs/b", "data.fold=1")
    assert code == 0 and "planned anew" not in out, err
    assert before == {path: (run / path).read_bytes() for path in before}
    shapes = {
        fold: {tuple(crop["shape"]) for crop in json.loads(path.read_text()).values()}
        for fold in sizes
        if (path := run / "guides" / fold / "crops.json")
    }
    assert shapes == {fold: {(size,) * 3} for fold, size in sizes.items()}
    code, out, err = cli(*words, "run_dir=runs/b")
    assert code == 0 and "is trained, unchanged" in out, err
    monkeypatch.undo()
    monkeypatch.chdir(here)
    image = next((phantom / "imagesTr").iterdir())
    code, _, err = cli("predict", run, image, "-o", "masks")
    assert code == 0, err
    # Without a fold before it, the same fold is planned for its own crops.
    monkeypatch.setattr("medseg.stages.predict.predict_cases", find_each)
    assert cli(*words, "run_dir=runs/c", "data.fold=1")[0] == 0
    assert (here / "runs" / "c" / "plan.yaml").read_bytes() != before["plan.yaml"]


def test_overwriting_keeps_a_first_stage_of_the_same_recipe(cli, lowres, here):
    words, run = lowres
    copy = copied(run, here)
    words = [*words[:-1], f"run_dir={copy}"]
    before = weights(copy / "first")
    code, out, err = cli(*words, "--overwrite")
    assert code == 0, err
    assert out.count("is trained, unchanged") == 2
    assert weights(copy / "first") == before
    code, _, err = cli(*words, "seed=9")
    assert code == 2 and "another recipe" in err
    assert cli(*words, "seed=9", "--overwrite")[0] == 0
    assert weights(copy / "first") != before


def test_every_fold_of_both_stages_is_trained_and_a_pair_is_chosen(cli, cli_json, lowres, here):
    words, run = lowres
    copy = copied(run, here)
    words = [*words[:-1], f"run_dir={copy}"]
    code, _, err = cli(*words, "--each-fold")
    assert code == 0, err
    assert sorted(p.name for p in copy.glob("fold_*")) == ["fold_0", "fold_1"]
    found = cli_json("choose", copy, copy / "first", "-o", "choice")
    assert len(found["candidates"]) == 3
    # Made anew, a lost prediction would come from networks that have seen the case.
    next((copy / "first" / "predictions").glob("*.nii.gz")).unlink()
    code, _, err = cli("choose", copy, copy / "first", "-o", "again")
    assert code == 2 and "predictions of held-out cases are gone" in err


def test_a_cascade_is_described_with_its_channels(cli_json, lowres):
    _, run = lowres
    found = cli_json("describe", run)
    assert found["input"][0] == 3


def test_pictures_are_cropped_to_what_was_found(cli, here):
    phantoms.write("cells", here / "cells", cases=4, seed=1)
    (here / "cells.yaml").write_text(
        "extends: base/2d\n"
        "data: {root: cells, workers: 0, folds: 2}\n"
        "plan: {patch_size: 32, features: [4, 8], batch_size: 2}\n"
        "trainer: {steps: 2}\nlogger: none\n"
        "cascade: {first: coarse, spacing: 4, use: both, margin: 8}\n"
    )
    code, _, err = cli("run", "cells.yaml")
    assert code == 0, err
    predictions = list((here / "runs" / "cells" / "predictions").glob("*.png"))
    assert len(predictions) == 2


def test_torchrun_is_told_to_train_one_stage_at_a_time(recipe, here):
    crew = SimpleNamespace(leads=True, world_size=1, local_size=1)
    arguments = build_parser().parse_args(["run", str(recipe), *FOLDS, *LOWRES])
    arguments.crew = crew
    with pytest.raises(InputError, match="torchrun and srun train one stage") as error:
        first_stage.train(arguments)
    assert "cascade.first=" in error.value.remedy
    assert not list(here.rglob("*.ckpt"))


def test_torchrun_goes_on_from_a_first_stage_that_was_trained_alone(recipe, here):
    """What the remedy names is the same cascade: a crop stays a crop."""
    arguments = build_parser().parse_args(["run", str(recipe), *FOLDS, *COARSE[:3]])
    arguments.crew = SimpleNamespace(leads=True, world_size=1, local_size=1)
    with pytest.raises(InputError, match="--first-stage") as error:
        first_stage.train(arguments)
    words = shlex.split(error.value.remedy.rpartition(": ")[2])
    whole = load(recipe, arguments.overrides)
    later = load(recipe, [*arguments.overrides, *words])
    assert later.cascade.first == "runs/tiny/first" and not build.trains_first(later)
    for one in (whole, later):
        assert build.guidance_of(one, LABELS) == Guidance("crop", 2, 2.0)


def test_a_first_stage_is_trained_alone_and_gone_on_from(cli, recipe, here):
    words = ["run", recipe, *FOLDS, *COARSE[:3]]
    code, out, err = cli(*words, "--first-stage", "data.fold=1")
    assert code == 0, err
    run = here / "runs" / "tiny"
    assert [path.name for path in run.iterdir()] == ["first"]
    assert sorted(p.name for p in (run / "first").glob("fold_*")) == ["fold_0", "fold_1"]
    assert "medseg predict runs/tiny/first" in out
    before = changed(run / "first")
    later = build.first_is_trained(load(recipe, [*FOLDS, *COARSE[:3]]))
    code, _, err = cli(*words, *later)
    assert code == 0, err
    assert changed(run / "first") == before
    assert (run / "crops.json").is_file() and not list(run.glob("cache/*/guide.npy"))


def test_one_fold_of_a_first_stage_is_trained_alone_where_that_is_enough(cli, recipe, here):
    words = ["run", recipe, *FOLDS, *LOWRES, "cascade.out_of_fold=false", "--first-stage"]
    assert cli(*words, "data.fold=1")[0] == 0
    assert [p.name for p in here.rglob("fold_*") if p.is_dir()] == ["fold_1"]
    code, _, err = cli(*words, "--each-fold")
    assert code == 2 and "out_of_fold" in err
    code, _, err = cli(*words, "--ray")
    assert code == 2 and "--ray" in err


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        ([], ["--first-stage", "no cascade"]),
        (["cascade.first=runs/other"], ["runs/other, which is a run"]),
        ([*LOWRES, "--extend", "5"], ["--extend", "runs/tiny/first/recipe.yaml data.fold=0"]),
        (["cascade.first=lowres", *FREE], ["nothing to gain", "coarse"]),
    ],
)
def test_no_first_stage_to_be_trained_alone_is_refused(cli, recipe, here, words, messages):
    code, _, err = cli("run", recipe, *FOLDS, *words, "--first-stage")
    assert code == 2 and all(message in err for message in messages), err
    assert not list(here.rglob("*.ckpt"))


@pytest.mark.parametrize("apart", [False, True])
def test_a_first_stage_that_cannot_go_on_names_what_starts_it_over(
    cli, lowres, here, monkeypatch, apart
):
    words, run = lowres
    copy = copied(run, here)
    words = [*words[:-1], f"run_dir={copy}"]
    plan = copy / "first" / "plan.yaml"
    edited, count = re.subn(r"  batch_size: \d+", "  batch_size: 3", plan.read_text())
    assert count == 1
    plan.write_text(edited)
    if apart:
        monkeypatch.setattr(side_by_side, "places", lambda recipe: [(), ()])
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = weights(copy / "first")
    code, _, err = cli(*words, "--overwrite")
    assert code == 2 and "changed since this training began" in err
    command = shlex.split(re.search(r"`(medseg run [^`]*)`", err)[1])
    if apart:
        return
    assert command[0] == "medseg" and cli(*command[1:])[0] == 0
    assert not set(before.items()) & set(weights(copy / "first").items())
    code, _, err = cli(*words, "--overwrite")
    assert code == 0, err


def test_a_head_without_the_devices_sends_both_stages_to_the_cluster(
    cli, recipe, here, monkeypatch
):
    trained = []
    monkeypatch.setattr("medseg.cli.folds.train", lambda given, recipe, **_: trained.append(recipe))
    words = ["run", recipe, *FOLDS, *LOWRES, "--each-fold", "trainer.accelerator=cuda"]
    code, _, err = cli(*words, "trainer.devices=64")
    assert code == 2 and not trained
    code, _, err = cli(*words, "trainer.devices=64", "--ray", "auto")
    assert code == 0, err
    assert [one.run_dir for one in trained] == ["runs/tiny/first", "runs/tiny"]
