"""The fast plan counts what the recipe's own network computes."""

from __future__ import annotations

import pytest

from medseg import build
from medseg.build.clocked import step_seconds
from medseg.planning.cost import Speed
from medseg.planning.fingerprint import CaseFingerprint, Fingerprint, Intensity
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
FOUND = Fingerprint(("MRI",), {"values": {"background": 0, "a": 1}}, (CASE,) * 20, (STATS,))


def recipe(network, budget="60s"):
    text = f"network: {network}\nplan: {{preset: fast}}\ntrainer: {{budget: {budget}}}"
    return load_text(text)


def seconds(network, speed, **options):
    plan = build.build_plan(recipe("unet"), FOUND).plan
    return step_seconds(recipe(network), plan, speed, num_classes=2, **options)


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
        of_step = step_seconds(recipe(name), planned.plan, speed, num_classes=2)
        (said,) = (
            int(word)
            for word, after in zip(
                planned.reasons["features"].split(),
                planned.reasons["features"].split()[1:],
                strict=False,
            )
            if after == "steps"
        )
        assert said == pytest.approx(900 * 0.85 / of_step, rel=0.05)


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
