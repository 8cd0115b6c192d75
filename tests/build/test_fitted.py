from dataclasses import replace
from math import prod

import pytest
import torch

from medseg.build.fitted import fit_plan, fit_recipe, fit_to_device, fixed_by_user
from medseg.data.case import Dataset
from medseg.errors import InputError
from medseg.labels import LabelScheme
from medseg.planning.fitting import Load
from medseg.planning.memory import plain_activations
from medseg.planning.plan import Normalisation, Plan, PreprocessingPlan
from medseg.recipe import load_text
from medseg.training.dry_step import Measured, OutOfMemory

PLAN = Plan(
    preprocessing=PreprocessingPlan("RAS", "none", (1.0, 1.0, 1.0), (Normalisation(),)),
    patch_size=(16, 24, 16),
    batch_size=4,
    strides=((1, 1, 1), (2, 2, 2), (2, 2, 2)),
    kernels=((3, 3, 3),) * 3,
    features=(4, 8, 8),
)
PATCH_BYTES = 1000 * 16 * 24 * 16


@pytest.fixture
def dataset(tmp_path):
    return Dataset(
        root=tmp_path,
        format="decathlon",
        channels=("mr",),
        labels=LabelScheme({"background": 0, "a": 1}),
        cases=(),
    )


@pytest.fixture
def steps(monkeypatch):
    """Replace the step by one that takes 1000 bytes a voxel, and note which were taken."""
    taken = []

    def step(task, batch, *, device, precision):
        taken.append((len(batch.image), tuple(batch.image.shape[2:])))
        return Measured(1.0, 0.4, 1000 * len(batch.image) * prod(batch.image.shape[2:]))

    monkeypatch.setattr("medseg.training.dry_step.dry_step", step)
    return taken


def fit(dataset, room, *words, fixed=(), plan=PLAN):
    recipe = load_text("seed: 1", overrides=words)
    return fit_to_device(
        recipe,
        plan,
        dataset,
        device=torch.device("cpu"),
        room=room,
        precision="32",
        fixed=fixed,
    )


def test_what_fits_is_taken_as_planned_in_one_step(dataset, steps):
    assert fit(dataset, 2**40).load == Load((16, 24, 16), 4, 1)
    assert fit(dataset, None).load == Load((16, 24, 16), 4, 1)
    assert steps == [(4, (16, 24, 16))] * 2


def test_too_little_memory_halves_the_batch_and_accumulates(dataset, steps):
    found = fit(dataset, round(2.2 * PATCH_BYTES))
    assert found.load == Load((16, 24, 16), 2, 2)
    assert found.planned > 2.2 * PATCH_BYTES


def test_still_less_memory_shrinks_the_patch_too(dataset, steps):
    found = fit(dataset, round(0.7 * PATCH_BYTES))
    assert found.load.batch_size == 1 and found.load.accumulate == 4
    assert prod(found.load.patch_size) <= 0.7 * 16 * 24 * 16
    assert all(n % 4 == 0 for n in found.load.patch_size)


def test_a_step_that_raises_is_too_large_and_a_smaller_one_is_tried(dataset, monkeypatch):
    def step(task, batch, *, device, precision):
        if len(batch.image) > 1:
            raise OutOfMemory("no more")
        return Measured(1.0, 0.4, 10)

    monkeypatch.setattr("medseg.training.dry_step.dry_step", step)
    assert fit(dataset, 2**40).load == Load((16, 24, 16), 1, 4)


def test_what_the_user_fixed_is_refused_with_the_setting_that_would_fit(dataset, steps):
    with pytest.raises(InputError) as caught:
        fit(dataset, round(2.2 * PATCH_BYTES), fixed=["batch_size", "patch_size"])
    text = str(caught.value)
    assert "plan.batch_size=2 trainer.accumulate=2" in text
    assert "GiB" in text and ("measured" in text or "estimated" in text)


def test_where_nothing_fits_a_smaller_network_is_advised(dataset, steps):
    with pytest.raises(InputError, match=r"plan\.features"):
        fit(dataset, 1000)


def test_a_fixed_batch_lets_the_patch_shrink(dataset, steps):
    found = fit(dataset, round(2.2 * PATCH_BYTES), fixed=["batch_size"])
    assert found.load.batch_size == 4 and prod(found.load.patch_size) < prod(PLAN.patch_size)


def test_a_real_step_of_a_tiny_network_is_measured(dataset):
    found = fit(dataset, 2**40)
    assert found.measured.seconds > found.measured.forward_seconds > 0


def test_plan_and_recipe_take_on_the_load():
    recipe = load_text("trainer: {epochs: 3, steps_per_epoch: 5, accumulate: 2}")
    load = Load((8, 8, 8), 1, 4)
    assert fit_plan(PLAN, load).patch_size == (8, 8, 8) and fit_plan(PLAN, load).batch_size == 1
    trainer = fit_recipe(recipe, load).trainer
    assert trainer.accumulate == 8 and trainer.steps_per_epoch == 20
    assert fit_recipe(recipe, Load((8, 8, 8), 1)) is recipe


def test_what_is_fixed_comes_from_the_recipe_and_from_edits():
    recipe = load_text("{plan: {batch_size: 4}, trainer: {accumulate: 2}}")
    assert fixed_by_user(recipe) == ["batch_size", "accumulate"]
    assert fixed_by_user(load_text("seed: 1"), {"patch_size": 1, "spacing": 1}) == ["patch_size"]


def test_a_deep_network_is_first_tried_with_a_step_that_surely_fits(dataset, steps):
    # More than any plain U-Net of these sizes takes, less than one of 40 blocks a stage.
    values = plain_activations(PLAN.patch_size, PLAN.strides, PLAN.features, num_classes=2)
    room = 4 * 8 * values * PLAN.batch_size
    deep = "network={name: residual_unet, blocks_per_stage: 40}"
    fit(dataset, room, deep)
    assert steps[0] != (PLAN.batch_size, PLAN.patch_size)


def test_a_patch_shrinks_to_what_strides_and_network_divide(dataset, steps):
    thirds = replace(PLAN, patch_size=(24, 72, 24), strides=((1, 1, 1), (1, 3, 1), (2, 1, 2)))
    network = "network={name: monai.SegResNet, blocks_down: [1, 1, 1], blocks_up: [1, 1]}"
    load = fit(dataset, 60_000_000, network, plan=thirds, fixed=["batch_size"]).load
    assert load.patch_size != thirds.patch_size and load.patch_size[1] % 12 == 0


def test_a_network_that_cannot_be_built_leaves_the_random_numbers_alone(dataset, monkeypatch):
    def fail(*_, **__):
        torch.rand(1)
        raise InputError("no such network")

    monkeypatch.setattr("medseg.build.task.build_network", fail)
    before = torch.get_rng_state()
    with pytest.raises(InputError, match="no such network"):
        fit(dataset, 1000)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_far_too_large_for_any_memory_is_refused_not_built(dataset, steps):
    with pytest.raises(InputError, match="does not fit"):
        fit(dataset, 2**40, plan=replace(PLAN, features=(100_000, 100_000, 100_000)))
    assert not steps


def test_what_a_network_reads_around_its_patch_is_in_the_step(dataset, steps):
    words = ["network={name: deepmedic, features: [2, 2], hidden: [4]}"]
    read = (16 + 12, 24 + 12, 16 + 12)
    found = fit(dataset, round(2.2 * 1000 * prod(read)), *words)
    assert found.load == Load((16, 24, 16), 2, 2)
    assert steps[0] == (4, read)
