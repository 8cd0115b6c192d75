import pytest
from ruamel.yaml import YAML

from medseg.recipe import key_defaults, load, load_text
from medseg.recipe.shipped import shipped

FULL = """\
seed: 3
run_dir: runs/full
data:
  root: ${ROOT:/data}
  labels: {a: 1, b: 2}
  value_map: {255: 1}
  fold: all
  channels: {CT: ct}
network: {name: residual_unet, deep_supervision: true}
augmentation:
  - {name: torchio.RandomBiasField, p: 0.2}
  - gamma
plan: {spacing: [1, 1, 2], patch_size: 32, normalisation: [zscore, {scheme: ct, lower: -10}]}
trainer: {budget: 4m, precision: 32, devices: [0, 1], early_stopping: {patience: 3}}
logger: [csv, {name: wandb, project: p}]
"""


def test_resolved_recipe_is_the_same_recipe():
    recipe = load_text(FULL)
    again = load_text(recipe.to_yaml())
    assert again == recipe
    assert again.to_yaml() == recipe.to_yaml()
    assert recipe.differences(again) == []
    assert again.name == recipe.name


@pytest.mark.parametrize("name", list(shipped()))
def test_shipped_recipe_survives_being_written(name):
    recipe = load(name)
    assert load_text(recipe.to_yaml()) == recipe


def test_resolved_recipe_holds_every_default_of_its_task():
    found = YAML(typ="safe").load(load_text("data: {root: /d}").to_yaml())
    finds = YAML(typ="safe").load(load_text("task: detection").to_yaml())
    assert "detection" not in found
    for key in key_defaults():
        node = finds if key.startswith("detection.") else found
        for part in key.split("."):
            assert part in node, key
            node = node[part]
    assert found["loss"]["smooth"] == 1e-5
    assert found["optimizer"]["betas"] == [0.9, 0.999]
    assert found["trainer"]["budget"] == "15m"
    assert found["run_dir"] == "runs/recipe"


def test_empty_lists_of_components_are_written_as_none():
    found = load_text("augmentation: none\nlogger: []").to_dict()
    assert (found["augmentation"], found["logger"]) == ("none", "none")


def test_differences_name_the_keys():
    one = load_text("seed: 1\nloss: {name: dice, smooth: 0}\ndata: {fold: 1}")
    other = load_text("seed: 2\nloss: {name: dice, smooth: 1}\ndata: {fold: 1}")
    assert one.differences(other) == ["seed", "loss.smooth"]
    assert "network.name" in one.differences(load_text("seed: 1\nnetwork: dilated_unet"))


def test_where_a_run_lies_and_what_logs_it_is_no_difference():
    one = load_text("run_dir: a\nlogger: wandb\nname: x")
    assert one.differences(load_text("run_dir: b\nlogger: none")) == []


def test_other_spelling_of_the_same_value_is_no_difference():
    one = load_text("trainer: {budget: 4m}\nseed: ${S:1}\nloss: dice")
    other = load_text("trainer: {budget: 240}\nseed: 1\nloss: {name: dice, smooth: 0.00001}")
    assert one.differences(other) == []


def test_limit_of_another_kind_is_a_difference():
    one, other = load_text("trainer: {steps: 4}"), load_text("trainer: {epochs: 4}")
    assert one.differences(other) == ["trainer.steps", "trainer.epochs"]


def test_text_that_is_no_valid_recipe_any_more_can_still_be_compared():
    recipe = load_text("seed: 1")
    stored = recipe.to_yaml().replace("seed: 1", "seed: 2\nold_key: 5")
    assert recipe.differences(stored) == ["seed", "old_key"]
    with_variable = load_text("seed: 1\ndata: {root: '${D}'}", environment={"D": "/d"})
    assert with_variable.differences(with_variable.to_yaml()) == []
    assert recipe.differences(with_variable.to_yaml()) == ["data.root"]


def test_key_defaults_name_every_key():
    defaults = key_defaults()
    for key in ("task", "data.format", "data.fold", "network", "loss", "logger", "seed", "run_dir"):
        assert key in defaults
    assert defaults["data.folds"] == 5
    assert defaults["trainer.ema"] == 0.999
    assert defaults["trainer.gradient_clip"] == 12
    assert defaults["inference.overlap"] == 0.5
