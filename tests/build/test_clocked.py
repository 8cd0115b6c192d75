"""The fast plan counts what the recipe's own network computes."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from torch import nn, zeros

from medseg import build
from medseg.build.clocked import step_seconds
from medseg.data.case import Dataset
from medseg.labels import LabelScheme
from medseg.planning.cost import Speed
from medseg.planning.fingerprint import CaseFingerprint, Fingerprint, Intensity
from medseg.planning.plan import Normalisation, Plan, PreprocessingPlan
from medseg.recipe import load_text

STATS = Intensity(1000, 0.0, 500.0, 100.0, 20.0, 10.0, 99.0, 400.0)
CASE = CaseFingerprint(
    id="case",
    shape=(48, 56, 40),
    spacing=(1.0, 1.0, 1.0),
    orientation="RAS",
    cropped_shape=(48, 56, 40),
    image_dtype="float32",
    label_dtype="uint8",
    foreground=(STATS,),
    nonzero=(STATS,),
    label_voxels=(100, 100),
)
LABELS = LabelScheme({"background": 0, "a": 1})
FOUND = Fingerprint(("MRI",), LABELS.to_dict(), (CASE,) * 20, (STATS,))


def recipe(network, budget="60s"):
    text = f"network: {network}\nplan: {{preset: fast}}\ntrainer: {{budget: {budget}}}"
    return load_text(text)


def seconds(network, speed):
    plan = build.build_plan(recipe("unet"), FOUND).plan
    return step_seconds(recipe(network), plan, speed, LABELS)


def steps_said(planned):
    words = planned.reasons["features"].split()
    return int(words[words.index("steps") - 1])


def test_the_nodes_of_unet_plus_plus_cost_more_than_a_unet_of_the_same_features():
    speed = Speed(flops=60e9)
    ratio = seconds("unet_plus_plus", speed) / seconds("unet", speed)
    assert 2.2 < ratio < 2.7  # measured on one core: 2.6 times the seconds of a step


def test_unet_plus_plus_is_narrower_where_a_unet_would_still_take_enough_steps():
    speed = Speed(flops=60e9)
    plain, nested = (
        build.build_plan(recipe(name, "80s"), FOUND, speed=speed)
        for name in ("unet", "unet_plus_plus")
    )
    assert plain.plan.features[0] == 16
    assert nested.plan.features[0] == 8


def test_steps_are_foretold_for_the_network_that_is_trained():
    speed = Speed(flops=60e9)
    for name in ("unet_plus_plus", "deepmedic", "highres_net"):
        planned = build.build_plan(recipe(name, "15m"), FOUND, speed=speed)
        of_step = step_seconds(recipe(name), planned.plan, speed, LABELS)
        assert steps_said(planned) == pytest.approx(900 * 0.85 / of_step, rel=0.05)


def test_a_network_that_cannot_be_followed_counts_as_a_plain_unet(monkeypatch):
    from medseg.networks import workload

    def refuse(*args, **options):
        raise RuntimeError("looks at values")

    monkeypatch.setattr(workload, "workload", refuse)
    speed = Speed(flops=60e9, values=1e8)
    assert seconds("monai.BasicUNet", speed) == seconds("unet", speed)


def test_code_that_needs_trust_is_not_run_for_a_plan():
    speed = Speed(flops=60e9)
    assert seconds("their_package:Network", speed) == seconds("unet", speed)


DETECTORS = ("retina_net", "retina_unet", "centre_net")
PLANES = Plan(
    preprocessing=PreprocessingPlan(None, "none", (1.0, 1.0), (Normalisation(),)),
    patch_size=(32, 48),
    batch_size=3,
    strides=((1, 1), (2, 2), (1, 2), (2, 2)),
    kernels=((3, 3),) * 4,
    features=(4, 8, 12, 16),
    levels=(1, 2),
    anchors=(((4.0, 4.0), (4.0, 8.0), (8.0, 4.0)),) * 2,
)
VOLUMES = Plan(
    preprocessing=PreprocessingPlan("RAS", "none", (1.0, 1.0, 2.0), (Normalisation(),)),
    patch_size=(16, 32, 8),
    batch_size=2,
    strides=((1, 1, 1), (2, 2, 1), (2, 2, 2)),
    kernels=((3, 3, 1), (3, 3, 3), (3, 3, 3)),
    features=(4, 8, 12),
    levels=(1, 2),
    anchors=(((4.0, 4.0, 2.0), (8.0, 8.0, 4.0)),) * 2,
)
CELLS = LabelScheme({"background": 0, "red": 1, "white": 2, "platelet": 3})


def counted_by_hooks(network, image):
    """Count operations, forward and backward, and outputs of the convolutions that are applied."""
    flops, values = [], []

    def count(module, inputs, output):
        transposed = isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d)
        # Weights stand under those of its two sides that each of them makes a value of the other.
        applied = inputs[0] if transposed else output
        flops.append(2 * applied.numel() * module.weight[0].numel())
        values.append(output.numel())

    kinds = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    for module in network.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(count)
    network(image)
    return 3 * sum(flops) - flops[0], sum(values)  # nobody asks for the gradient of the image


@pytest.mark.parametrize("encoder", ["plain", "residual"])
@pytest.mark.parametrize("plan", [PLANES, VOLUMES], ids=["2d", "3d"])
@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_costs_what_the_network_that_is_built_computes(tmp_path, name, plan, encoder):
    found = load_text(f"task: detection\nnetwork: {{name: {name}, encoder: {encoder}}}")
    dataset = Dataset(root=tmp_path, format="voc", channels=("a",), labels=CELLS, cases=())
    network, _ = build.build_network(found, plan, dataset)
    flops, values = counted_by_hooks(network, zeros(plan.batch_size, 1, *plan.patch_size))
    assert step_seconds(found, plan, Speed(flops=1.0), CELLS) == flops
    assert step_seconds(found, plan, Speed(flops=inf, values=1.0), CELLS) == values


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("budget", ["5m", "6h"])
def test_steps_of_a_detector_are_foretold_with_the_levels_and_anchors_that_it_gets(name, budget):
    case = replace(CASE, objects=((0, 10.0, 12.0, 8.0), (0, 6.0, 6.0, 6.0)), overlaps=(0.0, 0.0))
    found = replace(FOUND, cases=(case,) * 20)
    text = f"task: detection\nnetwork: {name}\nplan: {{preset: fast}}"
    detects, speed = load_text(f"{text}\ntrainer: {{budget: {budget}}}"), Speed(flops=60e9)
    planned = build.build_plan(detects, found, speed=speed)
    assert planned.plan.anchors
    of_step = step_seconds(detects, planned.plan, speed, LABELS)
    budgeted = float(detects.trainer.budget) * 0.85
    assert steps_said(planned) == pytest.approx(budgeted / of_step, rel=0.05)
