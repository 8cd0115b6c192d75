"""Verbs that look at a detection: what they say is of boxes."""

from __future__ import annotations

import json

import pytest

from tests import box_data

RECIPE = """\
task: detection
data: {{root: "{root}", workers: 0, folds: 2}}
network: {{name: {network}, channels: 8}}
plan: {{patch_size: 16, features: [4, 8, 8]}}
trainer: {{steps: 1, accelerator: cpu, precision: "32"}}
logger: none
"""
OF_MASKS = ("Dice", "mask", "segment")


@pytest.fixture(params=["retina_unet", "retina_net", "centre_net"])
def network(request) -> str:
    return request.param


@pytest.fixture(params=[2, 3], ids=["2D", "3D"])
def recipe(request, here, network):
    """A recipe in 2D for boxes, in 3D for masks."""
    write = box_data.voc if request.param == 2 else box_data.masks
    path = here / "boxes.yaml"
    path.write_text(RECIPE.format(root=write(here / "data"), network=network))
    return path


def test_a_detection_is_foreseen_described_and_planned(cli, cli_json, recipe, here, network):
    needs = {one["name"]: one["need"] for one in cli_json("doctor", recipe)}
    assert "from the objects of a few" in needs["data"]
    assert not [word for word in OF_MASKS if any(word in need for need in needs.values())]
    assert not (here / "runs").exists()
    anatomy = cli_json("describe", recipe)
    layers = [layer["name"] for layer in anatomy["layers"]]
    assert any(name.startswith("heads.boxes") for name in layers)
    assert any(name.startswith("segmenter") for name in layers) == (network == "retina_unet")
    assert anatomy["totals"]["unused"] == 0
    code, plan, _ = cli("plan", recipe)
    assert code == 0 and "levels" in plan
    assert ("centre_net takes no notice of it" in plan.split("anchors:")[1]) == (
        network == "centre_net"
    )


def test_the_objects_are_counted(cli, recipe):
    code, out, err = cli("inspect", recipe)
    assert code == 0, err
    assert "objects" in out and "10 x 10" in out and "cases without" in out


def test_a_detector_is_described_by_its_name_and_by_its_checkpoint(cli, cli_json, recipe, here):
    assert cli("fit", recipe, "-q")[0] == 0
    trained = cli_json("describe", here / "runs" / "boxes")
    planned = cli_json("describe", recipe)
    assert trained["totals"] == planned["totals"]


@pytest.mark.parametrize("name", ["retina_unet", "retina_net", "centre_net"])
def test_a_detector_is_known_by_its_name(cli, name):
    words = ("--spatial-dims", "2", "--patch", "32", "32", "--features", "4", "8", "16")
    code, out, err = cli("describe", name, *words)
    assert code == 0, err
    assert "class logits at the finest level" in out + err


def test_a_finished_training_is_extended(cli, here):
    root = box_data.voc(here / "data")
    (here / "boxes.yaml").write_text(RECIPE.format(root=root, network="retina_net"))
    assert cli("fit", "boxes.yaml", "-q")[0] == 0
    code, out, err = cli("fit", "boxes.yaml", "--resume", "--extend", "2")
    assert code == 0, err
    assert "resuming from" in out + err
    scores = json.loads((here / "runs/boxes/fold_0/validations.json").read_text())
    assert all("val/map" in entry for entry in scores)


def test_a_preset_of_residual_networks_says_how_a_detector_has_them(cli, here):
    root = box_data.voc(here / "data")
    (here / "boxes.yaml").write_text(RECIPE.format(root=root, network="retina_net"))
    words = ("plan", "boxes.yaml", "plan.preset=resenc_s")
    assert "network.encoder=residual" in "".join(map(str, cli(*words)))
    words = (*words, "network.encoder=residual", "--overwrite")
    assert "network.encoder=residual" not in "".join(map(str, cli(*words)))
