"""Runs of different kinds side by side: slices and volumes, cascades of different first stages."""

import json

import nibabel as nib
import numpy as np
import pytest

from medseg.cli import main
from medseg.data.case import Case
from medseg.data.prepare.reading import read_image, read_label
from medseg.inference import Predictor

# With these an organ is found within a minute.
LEARNING = """\
extends: base/mr
data: {{root: "{root}", workers: 0, folds: 2}}
plan: {{patch_size: 16, features: [8, 16], batch_size: 4}}
trainer: {{steps: 60, ema: null}}
optimizer: {{name: adamw, lr: 0.02}}
augmentation: none
logger: none
seed: 7
"""


def voxels(path):
    return np.asarray(nib.load(path).dataobj).astype(int)


def dice(found, reference):
    return 2 * (found & reference).sum() / (found.sum() + reference.sum())


def mean_dice(folder, phantom, cases):
    """Score masks by the definition, per class over the cases, then over the classes."""
    scores = [
        [
            dice(*(voxels(f / f"{case}.nii.gz") == label for f in (folder, phantom / "labelsTr")))
            for case in cases
        ]
        for label in (1, 2)
    ]
    return np.mean(scores)


def mean_probabilities(runs, fold, image, guides):
    """Average softmax by hand; each cascade is handed what its own first stage says."""
    total = 0.0
    for run in runs:
        predictor = Predictor.load(run / f"fold_{fold}", device="cpu", postprocessing="none")
        volume = read_image(Case("", (image,)))
        if run in guides:
            guide = read_label(guides[run] / image.name, predictor.labels, like=volume.grid)
            volume = volume._replace(guide=guide.data)
        total = total + predictor.predict_probabilities(volume)
    return total / len(runs)


def is_best_class(mask, likely):
    """Say whether a mask has everywhere a class that no other is clearly likelier than."""
    chosen = np.take_along_axis(likely, mask[None], axis=0)[0]
    return bool((chosen >= likely.max(axis=0) - 1e-5).all())


@pytest.mark.slow
def test_slices_and_volumes_are_ranked_by_what_they_have_learnt(cli_json, cli, phantom, here):
    (here / "learning.yaml").write_text(LEARNING.format(root=phantom))
    for name, words in (
        ("volumes", ()),
        ("slices", ("plan.configuration=2d", "plan.batch_size=8", "trainer.steps=30")),
    ):
        command = ("run", "learning.yaml", f"run_dir={name}", *words, "--each-fold", "-q")
        assert cli(*command)[0] == 0
    assert "Configuration 2d" in (here / "slices" / "plan.yaml").read_text()
    found = cli_json("choose", "volumes", "slices", "-o", "choice")
    splits = json.loads((here / "volumes" / "splits.json").read_text())
    cases = [case for split in splits for case in split["val"]]
    folders = {
        ("volumes",): here / "volumes" / "predictions",
        ("slices",): here / "slices" / "predictions",
        ("volumes", "slices"): here / "choice" / "0_volumes+1_slices",
    }
    by_hand = {runs: mean_dice(folder, phantom, cases) for runs, folder in folders.items()}
    for entry in found["candidates"]:
        assert entry["dice"] == pytest.approx(by_hand[tuple(entry["runs"])])
    winner = max(by_hand, key=by_hand.get)
    assert tuple(found["best"]) == winner
    # It is better because it has learnt more, not by the noise of networks that find nothing.
    assert by_hand[winner] > 0.3 and by_hand[winner] > min(by_hand.values()) + 0.05
    image = phantom / "imagesTr" / f"{splits[1]['val'][0]}.nii.gz"
    likely = mean_probabilities([here / "volumes", here / "slices"], 1, image, {})
    assert is_best_class(voxels(folders[("volumes", "slices")] / image.name), likely)
    words = found["command"].replace("IMAGES", str(image)).split()[1:]
    code, _, err = cli(*words)
    assert code == 0, err
    assert dice(
        voxels(here / "MASKS" / image.name) > 0, voxels(phantom / "labelsTr" / image.name) > 0
    )


@pytest.fixture(scope="module")
def cascades(tmp_path_factory, tiny):
    """A run without a first stage, and one each with a low-resolution and with a coarse one."""
    folder = tmp_path_factory.mktemp("cascades")
    (folder / "tiny.yaml").write_text(tiny)
    for name, words in (
        ("plain", ()),
        ("lowres", ("cascade.first=lowres", "cascade.spacing=2")),
        ("coarse", ("cascade.first=coarse", "cascade.spacing=3", "cascade.use=channels")),
    ):
        command = ["run", str(folder / "tiny.yaml"), f"run_dir={folder / name}", *words]
        fixed = ("data.folds=2", "trainer.ema=null")
        assert main([*command, *fixed, "--each-fold", "-q"]) == 0
    return folder


def test_each_cascade_of_a_pair_goes_on_from_its_own_first_stage(cli_json, cascades, phantom, here):
    runs = [cascades / name for name in ("plain", "lowres", "coarse")]
    found = cli_json("choose", *runs, "-o", "choice")
    assert len(found["candidates"]) == 6
    guides = {run: run / "first" / "predictions" for run in runs[1:]}
    splits = json.loads((runs[0] / "splits.json").read_text())
    told_apart = 0
    for fold, split in enumerate(splits):
        for case in split["val"]:
            image = phantom / "imagesTr" / f"{case}.nii.gz"
            mask = voxels(here / "choice" / "1_lowres+2_coarse" / image.name)
            likely = mean_probabilities(runs[1:], fold, image, guides)
            assert is_best_class(mask, likely)
            swapped = dict(zip(runs[1:], (guides[runs[2]], guides[runs[1]]), strict=True))
            wrong = mean_probabilities(runs[1:], fold, image, swapped)
            told_apart += not is_best_class(mask, wrong)
    assert told_apart


def test_what_cannot_be_paired_is_known_before_any_pair_segments(cli, cascades, here, monkeypatch):
    def never(*_, **__):
        raise AssertionError("a pair segments")

    monkeypatch.setattr("medseg.stages.pairs.predict_cases", never)
    runs = [cascades / name for name in ("plain", "lowres", "coarse")]
    lost = next((runs[2] / "first" / "predictions").glob("*.nii.gz"))
    lost.rename(aside := lost.with_name("aside"))
    code, _, err = cli("choose", *runs, "-o", "choice")
    assert code == 2 and "predictions of held-out cases are gone" in err
    aside.rename(lost)
    checkpoints = runs[2] / "fold_1" / "checkpoints"
    checkpoints.rename(aside := checkpoints.with_name("aside"))
    code, _, err = cli("choose", *runs, "-o", "choice")
    aside.rename(checkpoints)
    assert code == 2 and "fold_1" in err
