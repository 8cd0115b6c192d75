"""What a recipe says about weights to start from, and what gives way to them."""

import pytest

from medseg.errors import InputErrors
from medseg.recipe import load, load_text

TEXT = "data: {root: /data}\ntransfer: {from: runs/a%s}\n"


def problems(text):
    with pytest.raises(InputErrors) as caught:
        load_text(text)
    return [str(problem) for problem in caught.value.problems]


def test_only_the_source_must_be_said():
    transfer = load_text(TEXT % "").transfer
    assert transfer.source == "runs/a"
    assert (transfer.regime, transfer.stages, transfer.lr_decay) == ("large", None, 1.0)
    assert load_text("data: {root: /data}").transfer is None
    assert problems("transfer: {regime: small}") == ["recipe.yaml:1: transfer.from: must be given"]


def test_a_resolved_recipe_is_the_same_recipe():
    recipe = load_text(TEXT % ", regime: small")
    again = load_text(recipe.to_yaml())
    assert again == recipe and again.to_dict()["transfer"]["from"] == "runs/a"


@pytest.mark.parametrize(
    ("more", "key"),
    [
        (", regime: small, stages: 2", "transfer.stages"),
        (", stages: 2", "transfer.stages"),
        (", regime: small, lr_decay: 0.5", "transfer.lr_decay"),
    ],
)
def test_what_a_regime_takes_no_notice_of_is_refused(more, key):
    assert [line.split(": ")[1] for line in problems(TEXT % more)] == [key]


def test_an_unknown_regime_names_those_that_there_are():
    (line,) = problems(TEXT % ", regime: medum")
    assert "expected small, medium or large" in line and "did you mean medium?" in line


@pytest.mark.parametrize(
    ("text", "overrides", "stated"),
    [
        ("extends: base/mr\n", [], False),
        ("extends: base/mr\nnetwork: unet\n", [], True),
        ("extends: base/mr\nnetwork: {blocks_per_stage: 2}\n", [], True),
        ("extends: base/mr\n", ["network.blocks_per_stage=2"], True),
        ("seed: 1\n", [], False),
    ],
)
def test_a_key_is_stated_by_the_recipe_or_the_command_line_not_by_a_parent(
    tmp_path, text, overrides, stated
):
    path = tmp_path / "r.yaml"
    path.write_text(text + "data: {root: /data}\n")
    assert load(path, overrides).states("network") is stated


def test_another_network_leaves_out_what_the_plan_decides(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("extends: base/mr\ndata: {root: /data}\n")
    arguments = {"in_channels": 1, "features": [4, 8], "rates": [1, 2]}
    recipe = load(path).with_network("dilated_unet", arguments)
    assert recipe.network.name == "dilated_unet"
    assert recipe.network.arguments == {"rates": [1, 2]}
    written = recipe.to_dict()["network"]
    assert written["rates"] == [1, 2] and "blocks_per_stage" not in written
    assert load_text(recipe.to_yaml()).network.arguments == recipe.network.arguments
