"""What weights decide about a recipe's network and plan, and what the recipe decides itself."""

from pathlib import Path

import pytest
from torch import nn

from medseg.build.transfer import (
    _refuse_other_guides,
    differences,
    plan_values,
    prepare,
    with_inherited,
)
from medseg.errors import InputError
from medseg.labels import LabelScheme
from medseg.planning.plan import Normalisation, Plan, PreprocessingPlan
from medseg.recipe import load_text
from medseg.training.transfer.source import Source

STRUCTURE = {
    "features": [4, 8],
    "strides": [[1, 1, 1], [2, 2, 2]],
    "kernels": [[3, 3, 3], [3, 3, 3]],
}
NORMALISATION = [{"scheme": "zscore"}]
PREPROCESSING = {"spacing": [1.0, 1.0, 2.0], "normalisation": NORMALISATION}


def recipe(more="", *, transfer=""):
    text = f"data: {{root: /data}}\ntransfer: {{from: runs/a{transfer}}}\n{more}"
    return load_text(text)


def values(plan, more="", *, spatial_dims=3, channels=1):
    return plan_values(recipe(more), {"plan": plan}, spatial_dims=spatial_dims, channels=channels)


def test_a_recipe_that_leaves_all_open_takes_all():
    everything = {**STRUCTURE, **PREPROCESSING}
    assert values(everything) == everything


def test_features_strides_and_kernels_are_inherited_together_or_not_at_all():
    given = "plan: {features: [8, 16, 32]}\n"
    assert values({**STRUCTURE, **PREPROCESSING}, given) == PREPROCESSING


def test_normalisation_is_inherited_where_the_channels_are_as_many():
    assert values(PREPROCESSING, channels=4) == {"spacing": [1.0, 1.0, 2.0]}


@pytest.mark.parametrize("plan", [STRUCTURE, {"patch_size": [16, 16, 16]}])
def test_weights_of_other_dimensions_are_refused(plan):
    with pytest.raises(InputError, match="network in 3D, and the data are 2D") as caught:
        values(plan, spatial_dims=2)
    assert "not inflated" in caught.value.remedy and "recipe.yaml:2" in str(caught.value.file)


def test_a_recipe_without_transfer_inherits_nothing():
    assert plan_values(load_text("data: {root: /d}"), {}, spatial_dims=3, channels=1) == {}


def test_the_network_comes_with_its_arguments_unless_the_recipe_names_one():
    network = {"name": "residual_unet", "arguments": {"blocks_per_stage": 2, "features": [4, 8]}}
    found = with_inherited(recipe(), {"network": network}).network
    assert (found.name, found.arguments) == ("residual_unet", {"blocks_per_stage": 2})
    assert with_inherited(recipe("network: unet\n"), {"network": network}).network.name == "unet"
    assert with_inherited(recipe(), {"network": None}).network.name == "unet"


@pytest.mark.parametrize("transfer", [", regime: small", ", regime: medium", ", lr_decay: 0.5"])
def test_a_network_of_unknown_parts_is_refused_before_a_training_begins(transfer):
    with pytest.raises(InputError, match="not known") as caught:
        prepare(nn.Sequential(nn.Conv3d(1, 2, 1)), recipe(transfer=transfer))
    assert "recipe.yaml:2" in str(caught.value.file)


def plan_of(spacing, scheme):
    return Plan(
        preprocessing=PreprocessingPlan("RAS", "none", spacing, (Normalisation(scheme),)),
        patch_size=(16, 16, 16),
        batch_size=2,
        strides=((1, 1, 1),),
        kernels=((3, 3, 3),),
        features=(4,),
    )


def test_images_that_are_prepared_differently_are_told():
    ours, theirs = plan_of((1.0, 1.0, 1.0), "zscore"), plan_of((1.0, 1.0, 3.0), "zscore")
    assert differences(theirs, ours) == [
        "spacing is [1.0, 1.0, 1.0], and was [1.0, 1.0, 3.0] where the weights were trained"
    ]
    assert differences(ours, ours) == differences(None, ours) == []


@pytest.mark.parametrize(
    ("more", "guides", "remedy"),
    [
        ("cascade: {first: lowres}", 0, "cascade.use=crop"),
        ("cascade: {first: lowres}", 1, "weights of such a cascade"),
        ("", 2, "weights of a single stage"),
    ],
)
def test_kernels_of_images_do_not_read_the_masks_of_a_first_stage(more, guides, remedy):
    labels = LabelScheme({"background": 0, "head": 1, "tail": 2})
    source = Source(Path("a.ckpt"), "checkpoint", {}, guides=guides)
    with pytest.raises(InputError, match="one side only") as caught:
        _refuse_other_guides(source, recipe(more), labels)
    assert remedy in caught.value.remedy and f"{guides} in a.ckpt" in caught.value.found


@pytest.mark.parametrize(
    ("more", "guides"),
    [("cascade: {first: lowres}", 2), ("cascade: {first: coarse}", 0), ("", 0)],
)
def test_as_many_channels_for_a_first_stage_fit(more, guides):
    labels = LabelScheme({"background": 0, "head": 1, "tail": 2})
    _refuse_other_guides(Source(Path("a.ckpt"), "", {}, guides=guides), recipe(more), labels)
