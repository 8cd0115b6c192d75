"""What weights decide about a recipe's network and plan, and what the recipe decides itself."""

from pathlib import Path

import pytest
import torch
from torch import nn

from medseg.build.task import build_network, build_task
from medseg.build.transfer import (
    differences,
    fill,
    inheritance,
    plan_values,
    prepare,
    with_inherited,
)
from medseg.data.case import Dataset
from medseg.errors import InputError
from medseg.labels import LabelScheme
from medseg.planning.plan import Normalisation, Plan, PreprocessingPlan
from medseg.recipe import load_text
from tests.checkpoints import write

STRUCTURE = {
    "features": [4, 8],
    "strides": [[1, 1, 1], [2, 2, 2]],
    "kernels": [[3, 3, 3], [3, 3, 3]],
}
PLAN = Plan(
    preprocessing=PreprocessingPlan("RAS", "none", (1.0,) * 3, (Normalisation(),)),
    patch_size=(16, 16, 16),
    batch_size=2,
    strides=((1,) * 3, (2,) * 3),
    kernels=((3,) * 3,) * 2,
    features=(4, 8),
)
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


LABELS = LabelScheme({"background": 0, "head": 1, "tail": 2})


def dataset():
    return Dataset("folders", Path("/data"), (), ("T1",), LABELS)


def written(folder, text=""):
    """Write a checkpoint, guided if the recipe says so, and return it and its network."""
    made = load_text(f"data: {{root: /data}}\nnetwork: unet\n{text}")
    task = build_task(made, PLAN, dataset())
    content = {"state_dict": task.state_dict(), "medseg": {"schema": 1, "task": "segmentation"}}
    content["medseg"] |= {**task.description, "labels": LABELS.to_dict()}
    return write(folder / "best.ckpt", content), task.averaged.module


def recipe_from(source, transfer="", more="cascade: {first: lowres}"):
    return load_text(
        f"data: {{root: /data}}\ntransfer: {{from: '{source}'{transfer}}}\nnetwork: unet\n{more}"
    )


def filled(recipe):
    network, _ = build_network(recipe, PLAN, dataset())
    return network, fill(network, recipe, PLAN, dataset())


def image(channels):
    return torch.randn(1, channels, 16, 16, 16, generator=torch.Generator().manual_seed(0))


def test_a_second_stage_begins_as_the_single_stage_that_it_comes_from(tmp_path):
    source, before = written(tmp_path)
    network, report = filled(recipe_from(source))
    x, masks = image(1), image(2) > 0
    torch.testing.assert_close(network(torch.cat([x, masks], dim=1)), before(x))
    (first,) = report.of("adapted")
    assert first.how == "kept T1; mask of head, mask of tail: zero"


def test_a_single_stage_leaves_the_masks_of_a_cascade_out(tmp_path):
    source, before = written(tmp_path, "cascade: {first: lowres}")
    network, report = filled(recipe_from(source, more=""))
    x = image(1)
    expected = before(torch.cat([x, torch.zeros(1, 2, 16, 16, 16)], dim=1))
    torch.testing.assert_close(network(x), expected)
    assert "mask of head, mask of tail: left out" in report.of("adapted")[0].how


@pytest.mark.parametrize("regime", ["small", "medium", "large"])
def test_a_cascade_goes_on_from_a_cascade_in_every_regime(tmp_path, regime):
    source, before = written(tmp_path, "cascade: {first: lowres}")
    recipe = recipe_from(source, f", regime: {regime}")
    assert inheritance(recipe)["network"]["name"] == "unet"
    network, report = filled(recipe)
    assert torch.equal(network(image(3)), before(image(3)))
    assert not report.of("adapted")


def test_a_transformers_norm_that_older_weights_lack_is_no_layer_left_to_chance(tmp_path):
    small = "hidden_size: 12, mlp_dim: 24, num_heads: 2, feature_size: 4"
    network = f"network: {{name: monai.UNETR, {small}}}"
    source = tmp_path / "unetr.pt"
    recipe = load_text(f"transfer: {{from: '{source}', regime: small}}\n{network}")
    state = build_network(recipe, PLAN, dataset())[0].state_dict()
    older = {name: value for name, value in state.items() if "norm_cross_attn" not in name}
    assert len(older) < len(state)
    write(source, older)
    assert filled(recipe)[1].of("new")
    write(source, {name: value for name, value in older.items() if ".norm1." not in name})
    with pytest.raises(InputError, match="stay as they are initialised"):
        filled(recipe)


@pytest.mark.parametrize("transfer", [", regime: small", ", regime: medium"])
def test_masks_that_could_never_be_learnt_are_refused_before_a_first_stage_is_trained(
    tmp_path, transfer
):
    source, _ = written(tmp_path)
    recipe = recipe_from(source, transfer)
    for refuse in (inheritance, filled):
        with pytest.raises(InputError, match="never learn to look at the masks") as caught:
            refuse(recipe)
        assert "regime=large" in caught.value.remedy and "recipe.yaml:2" in str(caught.value.file)
    assert inheritance(recipe_from(source, transfer, "cascade: {first: coarse}"))["network"]


def test_where_the_first_layer_is_trained_masks_are_learnt(tmp_path):
    source, _ = written(tmp_path)
    recipe = recipe_from(source, ", regime: medium, stages: 3")
    assert inheritance(recipe)["network"]
    assert filled(recipe)[1].of("adapted")[0].zero == ("mask of head", "mask of tail")
