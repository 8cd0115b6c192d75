from __future__ import annotations

import pytest

from medseg.errors import InputErrors
from medseg.recipe import load_text

FOUND = "task: detection\ndata: {format: phantom, phantom: {kind: mr}}\n"


def problems(text: str) -> list[str]:
    with pytest.raises(InputErrors) as error:
        load_text(text)
    return [str(one) for one in error.value.problems]


def test_a_detection_says_what_it_is_to_find():
    recipe = load_text(FOUND + "network: retina_net\nloss: retina\ndetection: {objects: boxes}\n")
    assert recipe.task == "detection" and recipe.detection.objects == "boxes"
    assert recipe.detection.min_visible == 0.5


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("cascade: {first: lowres}\n", "cascade.first"),
        ("inference: {affine: small}\n", "inference.affine"),
        ("inference: {postprocessing: [{name: fill_holes}]}\n", "inference.postprocessing"),
        ("evaluation: {empty: one}\n", "evaluation.empty"),
        ("plan: {configuration: 2d, neighbours: 1}\n", "plan.neighbours"),
        ("network: unet\n", "network"),
        ("network: monai.SegResNet\n", "network"),
        ("loss: dice_ce\n", "loss"),
        ("augmentation: [mirror, elastic]\n", "augmentation"),
        ("augmentation: [torchio.RandomAffine]\n", "augmentation"),
    ],
)
def test_what_belongs_to_masks_is_refused_by_its_key(text, key):
    (problem,) = problems(FOUND + text)
    assert f"{key}:" in problem or f"{key} " in problem, problem


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("detection: {score: 0.1}\n", "detection.score"),
        ("plan: {levels: [1, 2]}\n", "plan.levels"),
        ("detection: {anchors: 3}\n", "detection.anchors"),
        ("network: retina_unet\n", "network"),
        ("loss: retina\n", "loss"),
    ],
)
def test_what_finds_boxes_is_refused_where_voxels_are_segmented(text, key):
    (problem,) = problems(text)
    assert key in problem and "task: detection" in problem


@pytest.mark.parametrize("base", ["base/ct", "base/mr", "base/2d", "quickstart"])
def test_the_network_of_a_parent_gives_way_to_the_task_of_the_recipe(base):
    recipe = load_text(f"extends: {base}\ntask: detection\n")
    assert recipe.network.name == "retina_unet" and recipe.loss.name == "retina"
    assert "blocks_per_stage" not in recipe.network.to_dict()
    centre = load_text(f"extends: {base}\ntask: detection\nnetwork: {{name: centre_net}}\n")
    assert centre.loss.name == "centre_point"


def test_arguments_without_a_name_are_of_the_detector():
    recipe = load_text("extends: base/mr\ntask: detection\nnetwork: {channels: 8}\n")
    assert (recipe.network.name, recipe.network.arguments) == ("retina_unet", {"channels": 8})


def test_the_command_line_can_ask_for_boxes_of_a_recipe_for_masks_and_the_other_way_round():
    masks = "network: mednext\nloss: dice_focal\n"
    assert load_text(masks, overrides=["task=detection"]).network.name == "retina_unet"
    boxes = FOUND + "network: retina_net\ndetection: {score: 0.1}\nplan: {levels: [2]}\n"
    recipe = load_text(boxes, overrides=["task=segmentation"])
    assert (recipe.network.name, recipe.loss.name) == ("unet", "dice_ce")
    assert recipe.plan.levels is None


def test_a_network_that_stands_beside_the_task_or_below_it_does_not_give_way(tmp_path):
    (tmp_path / "above.yaml").write_text("extends: base/ct\ntask: detection\n")
    with pytest.raises(InputErrors, match="unet is for masks"):
        load_text("extends: above\nnetwork: unet\n", source=tmp_path / "below.yaml")
    assert load_text("extends: above\n", source=tmp_path / "below.yaml").task == "detection"


def test_a_resolved_recipe_says_the_same_again():
    for text in (FOUND, "extends: base/ct\ntask: detection\n", "plan: {preset: resenc_m}\n"):
        recipe = load_text(text)
        assert load_text(recipe.to_yaml()) == recipe


def test_a_mistyped_network_is_no_network_for_masks():
    (problem,) = problems(FOUND + "network: retina_nett\n")
    assert "did you mean retina_net" in problem


def test_a_network_that_nobody_names_is_not_stated():
    assert not load_text(FOUND).states("network")
    assert load_text(FOUND + "network: retina_net\n").states("network")
    assert load_text(FOUND, overrides=["network.channels=8"]).states("network")
