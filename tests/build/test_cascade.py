"""What a recipe's cascade comes to: channels, the first stage's recipe, the record."""

from __future__ import annotations

import pytest
import torch

from medseg import build
from medseg.build.cascade import record
from medseg.data.case import Dataset
from medseg.labels import LabelScheme
from medseg.planning.guidance import Guidance
from medseg.planning.plan import Normalisation, Plan, PreprocessingPlan
from medseg.recipe import load, load_text

LABELS = LabelScheme({"background": 0, "liver": 1, "tumour": 2})
REGIONS = LabelScheme({"background": 0, "a": 1, "b": 2}, regions={"whole": (1, 2), "core": (2,)})
PLAN = Plan(
    preprocessing=PreprocessingPlan("RAS", "nonzero", (1.0,) * 3, (Normalisation(),) * 2),
    patch_size=(16, 16, 16),
    batch_size=2,
    strides=((1,) * 3, (2,) * 3),
    kernels=((3,) * 3,) * 2,
    features=(4, 8),
)


def recipe_of(cascade: str):
    return load_text(f"trainer: {{steps: 2}}\nrun_dir: runs/x\ncascade: {cascade}")


@pytest.mark.parametrize(
    ("cascade", "expected"),
    [
        ("{}", None),
        ("{first: lowres}", Guidance("channels", 2, 20.0)),
        ("{first: coarse, margin: 5}", Guidance("crop", 2, 5.0)),
        ("{first: coarse, use: both}", Guidance("both", 2, 20.0)),
        ("{first: runs/other}", Guidance("channels", 2, 20.0)),
    ],
)
def test_auto_crops_after_a_coarse_stage(cascade, expected):
    assert build.guidance_of(recipe_of(cascade), LABELS) == expected


@pytest.mark.parametrize(
    ("cascade", "labels", "channels"),
    [
        ("{}", LABELS, 2),
        ("{first: lowres}", LABELS, 4),
        ("{first: coarse}", LABELS, 2),
        ("{first: coarse, use: both}", LABELS, 4),
        ("{first: lowres}", REGIONS, 4),  # of the guide's labels, not of the regions
    ],
)
def test_network_and_feed_agree_on_channels(tmp_path, cascade, labels, channels):
    recipe = recipe_of(cascade)
    dataset = Dataset("folders", tmp_path, (), ("a", "b"), labels)
    assert build.input_channels(recipe, PLAN, labels) == channels
    network, written = build.build_network(recipe, PLAN, dataset)
    assert written["arguments"]["in_channels"] == channels
    network(torch.zeros(1, channels, 16, 16, 16))
    feed = build.build_data(recipe, PLAN, dataset, [object()], [])
    assert feed.guide.classes == channels - 2
    task = build.build_task(recipe, PLAN, dataset)
    assert task.description["cascade"] == record(recipe, labels)


def test_without_augmentation_the_guide_has_none_either(tmp_path):
    dataset = Dataset("folders", tmp_path, (), ("a", "b"), LABELS)
    for text, count in (("default", 2), ("none", 0)):
        recipe = load_text(f"cascade: {{first: lowres}}\naugmentation: {text}")
        feed = build.build_data(recipe, PLAN, dataset, [object()], [])
        assert len(feed.guide.augment.transforms) == count


def test_the_record_says_where_the_first_stage_lies_relative_to_the_run():
    assert record(recipe_of("{first: lowres}"), LABELS)["first"] == "first"
    assert record(recipe_of("{first: runs/coarse}"), LABELS)["first"] == "../coarse"
    assert record(recipe_of("{}"), LABELS) == {}


@pytest.mark.parametrize(
    ("cascade", "configuration", "spacing"),
    [
        ("{first: lowres}", "3d_lowres", None),
        ("{first: lowres, spacing: 3}", "3d_lowres", 3),
        ("{first: coarse}", "auto", 6),
        ("{first: coarse, spacing: [8, 8, 5]}", "auto", (8, 8, 5)),
    ],
)
def test_the_first_stage_is_the_same_recipe_on_coarser_images(
    tmp_path, cascade, configuration, spacing
):
    file = tmp_path / "mine.yaml"
    file.write_text(
        f"trainer: {{steps: 7}}\nnetwork: residual_unet\nrun_dir: a folder\ncascade: {cascade}\n"
        "plan: {spacing: 1, patch_size: 32, features: [4, 8], batch_size: 2, crop: none}\n"
        "transfer: {from: weights.pt}\n"
    )
    second = load(file)
    first = load(file, build.first_overrides(second))
    assert first.run_dir == "a folder/first" == str(build.first_folder(second))
    assert first.name == "mine_first"
    assert first.cascade.first is None and not build.trains_first(first)
    assert first.plan.configuration == configuration
    assert first.plan.spacing == spacing
    assert first.plan.given().keys() <= {"configuration", "spacing", "crop", "preset"}
    assert (first.trainer, first.network) == (second.trainer, second.network)
    assert second.transfer is not None and first.transfer is None


def test_a_run_that_is_trained_is_taken_as_it_is():
    recipe = recipe_of("{first: runs/coarse, use: crop}")
    assert not build.trains_first(recipe)
    assert str(build.first_folder(recipe)) == "runs/coarse"
