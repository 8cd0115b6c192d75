"""The speed that a fast plan is sized for stays in ``plan.yaml``."""

from types import SimpleNamespace

import pytest

from medseg import build
from medseg.cli import main
from medseg.data import phantoms
from medseg.planning.cost import Speed
from medseg.recipe import load_text
from medseg.stages import plan_file
from medseg.stages.speed import as_speed, device_speed

RECIPE = """\
# Sized by the clock.
data: {{root: "{root}", workers: 0}}
network: {{name: residual_unet, blocks_per_stage: 1}}
trainer: {{budget: 15m}}
logger: none
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    phantoms.write("mr", tmp_path / "mr", cases=40, seed=1, shape=(20, 28, 20))
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE.format(root=tmp_path / "mr"))
    return path


@pytest.fixture
def speed(monkeypatch):
    def be(flops):
        monkeypatch.setattr(
            "medseg.training.benchmark.measure_speed", lambda *_, **__: Speed(flops)
        )

    return be


def features(tmp_path):
    return plan_file.read(tmp_path / "runs" / "r" / "plan.yaml").values["features"]


def test_the_plan_follows_the_device_once_and_then_stays(recipe, tmp_path, speed):
    speed(1e13)
    assert main(["plan", str(recipe), "-q"]) == 0
    before = (tmp_path / "runs" / "r" / "plan.yaml").read_text()
    assert features(tmp_path)[0] == 32
    assert "steps in 15 min" in before and "Sized for the budget on" in before
    speed(1e7)
    assert main(["plan", str(recipe), "-q"]) == 0
    assert (tmp_path / "runs" / "r" / "plan.yaml").read_text() == before
    assert main(["plan", str(recipe), "-q", "--overwrite"]) == 0
    assert features(tmp_path)[0] < 16


def test_a_plan_made_without_a_speed_is_not_changed_by_one(recipe, tmp_path, speed):
    speed(1e13)
    assert main(["plan", str(recipe), "-q"]) == 0
    path = tmp_path / "runs" / "r" / "plan.yaml"
    path.write_text("plan:\n  batch_size: 3\n")
    assert main(["plan", str(recipe), "-q"]) == 0
    assert features(tmp_path)[0] == 16


@pytest.mark.parametrize(
    ("text", "sized"),
    [
        ("trainer: {budget: 15m}", True),
        ("trainer: {budget: 2h}", False),
        ("trainer: {steps: 100}", False),
        ("{trainer: {budget: 15m}, plan: {features: [8, 16]}}", False),
        ("{trainer: {budget: 15m}, plan: {preset: standard}}", False),
    ],
)
def test_only_fast_plans_for_a_budget_are_sized_by_the_clock(text, sized):
    assert build.sized_by_clock(load_text(text)) is sized


@pytest.mark.parametrize(("plan", "measured"), [("", False), ("plan: {strides: [1, 2]}", True)])
def test_a_width_that_comes_with_weights_is_not_sized_by_the_clock(speed, plan, measured):
    speed(1e9)
    text = f"trainer: {{budget: 15m}}\ntransfer: {{from: weights.pt}}\n{plan}\n"
    found = SimpleNamespace(spatial_dims=3, channels=("MRI",))
    theirs = {"plan": {"features": [4, 8], "strides": [[1, 1, 1], [2, 2, 2]]}}
    # Strides of the recipe's own leave the weights' width behind.
    assert bool(device_speed(load_text(text), found, known={}, inherited=theirs)) is measured


def test_a_damaged_record_is_no_speed():
    assert as_speed({"gflops": "fast"}) is None and as_speed({}) is None
