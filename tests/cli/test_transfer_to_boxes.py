"""Weights go from masks to boxes and back: the encoder is the same."""

from __future__ import annotations

import json

import pytest
import torch

from medseg.cli import main
from tests import box_data

RECIPE = """\
data: {{root: "{root}", workers: 0, folds: 2}}
plan: {{patch_size: 16, features: [4, 8, 8], batch_size: 2}}
trainer: {{steps: 1, accelerator: cpu, precision: "32"}}
logger: none
"""
BOXES = "task: detection\nnetwork: {name: retina_net, channels: 8}\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Give the folder of a data set, and of runs: a residual U-Net, a plain one, a detector."""
    folder = tmp_path_factory.mktemp("trained")
    text = RECIPE.format(root=box_data.masks(folder / "data"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, network in {
            "residual": "network: {name: residual_unet, blocks_per_stage: 1}\n",
            "plain": "network: unet\n",
            "boxes": BOXES,
            "foreign": "network: mednext\n",
        }.items():
            (folder / f"{name}.yaml").write_text(text + network)
            if name != "foreign":
                assert main(["fit", f"{name}.yaml", "-q"]) == 0
    return folder


def fit(cli, here, trained, source, more, *words):
    """Fine-tune for a step; return the exit code, the words of an error, and the weights."""
    (here / "next.yaml").write_text(RECIPE.format(root=trained / "data") + more)
    code, _, err = cli("fit", "next.yaml", f"transfer.from={trained / 'runs' / source}", *words)
    run = here / "runs" / "next" / "fold_0"
    weights = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) if not code else {}
    report = json.loads((run / "transfer.json").read_text()) if not code else {}
    return code, err, weights.get("state_dict", {}), report


@pytest.mark.parametrize("source", ["residual", "plain"])
def test_a_detector_goes_on_from_the_encoder_of_a_segmentation(cli, here, trained, source):
    code, err, weights, report = fit(cli, here, trained, source, BOXES, "optimizer.lr=1e-12")
    assert code == 0, err
    before = torch.load(
        trained / "runs" / source / "fold_0" / "checkpoints" / "best.ckpt", weights_only=True
    )["state_dict"]
    encoder = {k: v for k, v in before.items() if k.startswith("averaged.module.encoder.")}
    assert encoder
    for name, value in encoder.items():
        after = weights["network.pyramid." + name.removeprefix("averaged.module.")]
        torch.testing.assert_close(after, value, rtol=0, atol=1e-6)
    assert all(entry["name"].startswith("pyramid.encoder.") for entry in report["matched"])


def test_a_segmentation_goes_on_from_the_encoder_of_a_detector(cli, here, trained):
    code, err, weights, report = fit(cli, here, trained, "boxes", "")
    assert code == 0, err
    assert any(entry["name"].startswith("encoder.") for entry in report["matched"])
    assert "network.heads.0.weight" in weights


def test_a_detector_goes_on_from_a_detector_heads_and_all(cli, here, trained):
    code, err, _, report = fit(cli, here, trained, "boxes", "task: detection\n")
    assert code == 0, err
    assert not report["new"] and not report["adapted"]


def test_an_encoder_that_no_detector_has_is_refused(cli, here, trained, monkeypatch):
    monkeypatch.chdir(trained)
    assert cli("fit", "foreign.yaml", "plan.patch_size=32", "-q")[0] == 0
    monkeypatch.chdir(here)
    code, err, *_ = fit(cli, here, trained, "foreign", BOXES)
    assert code == 2
    assert "mednext, whose encoder no detector has" in err and "transfer=null" in err


def test_a_stated_regime_trains_the_heads_alone(cli, here, trained):
    code, err, weights, _ = fit(
        cli, here, trained, "boxes", "task: detection\n", "transfer.regime=small", "optimizer.lr=1"
    )
    assert code == 0, err
    before = torch.load(
        trained / "runs" / "boxes" / "fold_0" / "checkpoints" / "best.ckpt", weights_only=True
    )["state_dict"]
    for name, value in weights.items():
        if name.startswith("network.pyramid."):
            kept = before["averaged.module." + name.removeprefix("network.")]
            torch.testing.assert_close(value, kept, rtol=0, atol=0)
