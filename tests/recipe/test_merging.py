import pytest

from medseg.errors import InputErrors
from medseg.recipe import load


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return name

    return write


def problems(*arguments):
    with pytest.raises(InputErrors) as caught:
        load(*arguments)
    return [str(problem) for problem in caught.value.problems]


def test_file_wins_over_parents_and_later_parents_over_earlier(write):
    write("a.yaml", "seed: 1\ndata: {folds: 2, fold: 1, root: /a}\ntrainer: {ema: 0.5}")
    write("b.yaml", "seed: 2\ndata: {folds: 3}")
    recipe = load(write("r.yaml", "extends: [a, b.yaml]\ndata: {root: /r}"))
    assert (recipe.seed, recipe.data.folds, recipe.data.fold) == (2, 3, 1)
    assert (recipe.data.root, recipe.trainer.ema) == ("/r", 0.5)


def test_command_line_wins_over_everything(write):
    write("a.yaml", "seed: 1")
    assert load(write("r.yaml", "extends: a\nseed: 2"), ["seed=3", "seed=4"]).seed == 4


def test_parents_are_found_beside_the_file_that_names_them(write):
    write("sub/deep/a.yaml", "seed: 7")
    write("sub/b.yaml", "extends: deep/a.yaml")
    assert load(write("r.yaml", "extends: sub/b.yaml")).seed == 7


def test_parent_can_be_a_shipped_recipe(write):
    recipe = load(write("r.yaml", "extends: base/mr\nseed: 3"))
    assert recipe.seed == 3
    assert recipe.name == "r"


def test_one_grandparent_may_be_reached_twice(write):
    write("top.yaml", "seed: 9")
    write("a.yaml", "extends: top")
    write("b.yaml", "extends: top")
    assert load(write("r.yaml", "extends: [a, b]")).seed == 9


def test_circle_of_parents_is_named(write):
    write("a.yaml", "# first\nextends: b.yaml")
    write("b.yaml", "extends: a.yaml")
    assert problems("a.yaml") == [
        "b.yaml:1: extends: the parents go round in a circle: a.yaml -> b.yaml -> a.yaml"
    ]
    write("c.yaml", "extends: c.yaml")
    assert "in a circle: c.yaml -> c.yaml" in problems("c.yaml")[0]


def test_missing_parent_is_named_with_what_was_meant(write):
    write("parent.yaml", "seed: 1")
    (message,) = problems(write("r.yaml", "seed: 1\nextends: parrent.yaml"))
    assert message.startswith("r.yaml:2: extends: there is no parent parrent.yaml")
    assert message.endswith("did you mean parent.yaml?")


def test_extends_takes_names_only(write):
    assert "expected the file or the name" in problems(write("r.yaml", "extends: [3]"))[0]
    assert "only be named in a file" in problems(write("s.yaml", ""), ["extends=r"])[0]


def test_lists_are_replaced_and_mappings_merged(write):
    write("a.yaml", "plan: {spacing: [1, 1, 1], batch_size: 2}")
    recipe = load(write("r.yaml", "extends: a\nplan: {spacing: [2, 2, 2]}"))
    assert recipe.plan.spacing == (2, 2, 2)
    assert recipe.plan.batch_size == 2


def test_labels_of_a_child_replace_its_parents(write):
    write("a.yaml", "data: {labels: {a: 1, b: 2}}")
    recipe = load(write("r.yaml", "extends: a\ndata: {labels: {c: 1}}"), ["data.labels.d=2"])
    assert recipe.data.labels == {"c": 1, "d": 2}


def test_component_of_the_same_name_is_merged(write):
    write("a.yaml", "loss: {name: dice_ce, smooth: 0, batch: true}")
    recipe = load(write("r.yaml", "extends: a\nloss: {name: dice_ce, smooth: 1}"))
    assert recipe.loss.arguments == {"smooth": 1, "batch": True}
    recipe = load(write("r.yaml", "extends: a\nloss: {smooth: 1}"))
    assert recipe.loss.arguments == {"smooth": 1, "batch": True}


@pytest.mark.parametrize("child", ["loss: dice", "loss: {name: dice}"])
def test_component_of_another_name_is_replaced(write, child):
    write("a.yaml", "loss: {name: dice_ce, ce_weight: 2}")
    recipe = load(write("r.yaml", "extends: a\n" + child))
    assert (recipe.loss.name, recipe.loss.arguments) == ("dice", {})


def test_name_of_a_component_can_be_overridden_with_new_arguments(write):
    name = write("r.yaml", "network: {name: residual_unet, deep_supervision: true}")
    recipe = load(name, ["network.rates=[1,2]", "network.name=dilated_unet"])
    assert recipe.network.name == "dilated_unet"
    assert recipe.network.arguments == {"rates": [1, 2]}


def test_arguments_can_be_set_on_the_short_form_and_on_the_default(write):
    recipe = load(write("r.yaml", "loss: dice"), ["loss.smooth=1", "network.deep_supervision=true"])
    assert (recipe.loss.name, recipe.loss.arguments) == ("dice", {"smooth": 1})
    assert recipe.network.name == "unet"
    assert recipe.network.arguments == {"deep_supervision": True}


def test_items_of_lists_are_overridden_by_number(write):
    name = write("r.yaml", "augmentation: [{name: gamma, p: 0.5}, mirror]")
    recipe = load(name, ["augmentation.0.p=0.1", "augmentation.1.p=0.2"])
    assert [item.arguments["p"] for item in recipe.augmentation] == [0.1, 0.2]
    (message,) = problems(name, ["augmentation.2.p=0.1"])
    assert message.startswith("command line: augmentation.2: the list has 2 items")


def test_exclusive_limits_in_one_file_are_refused(write):
    name = write("r.yaml", "trainer:\n  budget: 5m\n  steps: 10\n")
    assert problems(name) == [
        "r.yaml:3: trainer.steps: excludes trainer.budget; keep one of budget, steps, epochs"
    ]
    assert problems(write("s.yaml", ""), ["trainer.steps=3", "trainer.epochs=4"]) == [
        "command line: trainer.epochs: excludes trainer.steps; keep one of budget, steps, epochs"
    ]


@pytest.mark.parametrize("limit", ["budget=60", "steps=40", "epochs=3"])
def test_overriding_one_limit_clears_the_others(write, limit):
    for own in ("budget: 5m", "steps: 10", "epochs: 2"):
        trainer = load(write("r.yaml", f"trainer: {{{own}}}"), [f"trainer.{limit}"]).trainer
        key, value = limit.split("=")
        found = {k: getattr(trainer, k) for k in ("budget", "steps", "epochs")}
        assert found == {"budget": None, "steps": None, "epochs": None, key: int(value)}


def test_a_childs_limit_clears_its_parents(write):
    write("a.yaml", "trainer: {budget: 5m, ema: 0.9}")
    trainer = load(write("r.yaml", "extends: a\ntrainer: {epochs: 3}")).trainer
    assert (trainer.budget, trainer.epochs, trainer.ema) == (None, 3, 0.9)


def test_null_limit_clears_nothing(write):
    write("a.yaml", "trainer: {steps: 5}")
    assert load(write("r.yaml", "extends: a\ntrainer: {budget: null}")).trainer.steps == 5


def test_name_belongs_to_the_file_that_states_it(write):
    write("a.yaml", "name: grand\nrun_dir: runs/x")
    recipe = load(write("r.yaml", "extends: a"))
    assert (recipe.name, recipe.run_dir) == ("r", "runs/x")
    assert load("a.yaml").name == "grand"


@pytest.mark.parametrize("overrides", [[], ["seed=3"], ["run_dir=other"]])
def test_what_nobody_says_is_a_matter_of_the_recipes_file(write, overrides):
    recipe = load(write("r.yaml", "data: {root: /d}"), overrides)
    assert recipe.at("plan", "patch_size").startswith("r.yaml")
    assert recipe.at("data", "root") == "r.yaml:1"
