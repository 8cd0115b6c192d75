import pytest

from medseg.errors import InputErrors
from medseg.recipe import load, load_text


@pytest.fixture
def recipe_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def recipe_of(text, **environment):
        (tmp_path / "r.yaml").write_text(text)
        return load("r.yaml", environment=environment)

    return recipe_of


def test_variable_is_expanded_within_text(recipe_of):
    recipe = recipe_of("data: {root: '${A}/x/${B:y}'}", A="/d")
    assert recipe.data.root == "/d/x/y"


def test_whole_variable_is_typed_by_yaml(recipe_of):
    recipe = recipe_of("seed: ${S}\ntrainer: {compile: '${C:true}', ema: '${E:null}'}\n", S="12")
    assert (recipe.seed, recipe.trainer.compile, recipe.trainer.ema) == (12, True, None)


def test_variable_in_a_flow_mapping_without_quotes_is_explained(recipe_of):
    with pytest.raises(InputErrors, match=r"r\.yaml:1: not valid YAML.*needs quotes"):
        recipe_of("trainer: {ema: ${E}}\n")


def test_default_may_be_empty_and_may_hold_colons(recipe_of):
    assert recipe_of("data: {root: '${A:}'}").data.root is None
    assert recipe_of("data: {root: '${A:c:/d}'}").data.root == "c:/d"


def test_escaped_variable_is_text(recipe_of):
    recipe = recipe_of("data: {root: '$${A}/x'}", A="no")
    assert recipe.data.root == "${A}/x"
    assert load_text(recipe.to_yaml(), environment={}).data.root == "${A}/x"


def test_missing_variable_is_one_problem_with_its_line(recipe_of):
    with pytest.raises(InputErrors) as caught:
        recipe_of("task: segmentation\nseed: ${SEDE}\n", SEED="1")
    assert [str(p) for p in caught.value.problems] == [
        "r.yaml:2: seed: the environment variable SEDE is not set; set it or write ${SEDE:…}; "
        "did you mean ${SEED}?"
    ]


def test_name_that_is_no_variable_is_a_problem(recipe_of):
    with pytest.raises(InputErrors, match="does not name an environment variable"):
        recipe_of("seed: ${1 2}")


def test_variables_work_in_components_parents_and_overrides(recipe_of, tmp_path):
    (tmp_path / "p.yaml").write_text("data: {fold: 3}")
    (tmp_path / "r.yaml").write_text(
        "extends: ${P}.yaml\nnetwork: ${N}\naugmentation:\n  - {name: gamma, p: '${G:0.5}'}\n"
    )
    environment = {"P": "p", "N": "dilated_unet", "S": "5"}
    recipe = load("r.yaml", ["seed=${S}"], environment=environment)
    assert (recipe.data.fold, recipe.network.name, recipe.seed) == (3, "dilated_unet", 5)
    assert recipe.augmentation[0].arguments == {"p": 0.5}


def test_resolved_recipe_keeps_variables_and_never_their_values(recipe_of):
    text = "seed: ${S}\ndata: {root: '${D}/x'}\nnetwork: ${N}\nloss: {name: dice, smooth: '${M}'}\n"
    environment = {"S": "77", "D": "/secret", "N": "dilated_unet", "M": "0.125"}
    recipe = recipe_of(text, **environment)
    written = recipe.to_yaml()
    for name, value in environment.items():
        assert "${" + name + "}" in written
        assert value not in written
    assert load_text(written, environment=environment) == recipe


def test_messages_do_not_show_what_a_variable_holds(recipe_of):
    with pytest.raises(InputErrors) as caught:
        recipe_of("seed: ${S}\nnetwork: ${S}\ntrainer: {budget: '${S}'}", S="hunter2")
    assert "hunter2" not in str(caught.value)
    assert "r.yaml:1: seed: expected a whole number" in str(caught.value)
    assert "(from ${S})" in str(caught.value)
