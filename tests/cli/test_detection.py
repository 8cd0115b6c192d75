from __future__ import annotations

import json

import numpy as np
import pytest

from medseg.inference.detection import Detector
from medseg.inference.detection.found_file import read_boxes

RECIPE = """\
task: detection
data: {root: PHANTOM, workers: 0}
network: {name: NETWORK, channels: 8}
plan: {patch_size: 32, features: [4, 8, 8], spacing: 2}
trainer: {steps: 4, accelerator: cpu, precision: "32"}
logger: csv
"""


@pytest.fixture(params=["retina_unet", "retina_net", "centre_net"])
def network(request) -> str:
    return request.param


@pytest.fixture
def recipe(here, phantom, network):
    path = here / "find.yaml"
    path.write_text(RECIPE.replace("PHANTOM", str(phantom)).replace("NETWORK", network))
    return path


def test_a_run_plans_trains_finds_and_scores(cli, recipe, here, phantom, network):
    code, out, err = cli("run", recipe)
    assert code == 0, err
    run = here / "runs" / "find"
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["task"] == "detection" and metrics["n_cases"] > 0
    assert set(metrics["per_class"]) == set(metrics["classes"])
    for case in metrics["cases"]:
        boxes = json.loads((run / "predictions" / f"{case}.json").read_text())
        assert boxes["grid"]["shape"]
    assert "levels" in (run / "plan.yaml").read_text()
    code, anew, err = cli("run", recipe)
    assert code == 0 and "is trained, unchanged" in anew and "2 cases, unchanged" in anew, err
    assert "to find objects in new images: medseg predict" in out
    image = next((phantom / "imagesTr").iterdir())
    options = ["--instances"] if network == "retina_unet" else []
    code, _, err = cli("predict", run, image, "-o", "boxes", "--device", "cpu", *options)
    assert code == 0, err
    written = read_boxes(here / "boxes" / image.name.replace(".nii.gz", ".json"))
    found = Detector.load(run, device="cpu")(image)
    assert np.allclose(found.boxes.corners, written.boxes.corners, atol=1e-3)
    assert found.boxes.corners.shape[1] == 6
    assert (found.boxes.upper <= np.array(found.grid.shape) + 1e-6).all()
