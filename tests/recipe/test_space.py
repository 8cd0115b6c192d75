import pytest

from medseg.errors import InputErrors
from medseg.recipe import load_text
from medseg.recipe.space import Choice, Range, override, read_space

RECIPE = "data: {root: /data}\nloss: {name: dice_ce, smooth: 1.0}\n"


@pytest.fixture
def space(tmp_path, monkeypatch):
    """Read a space written as text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(RECIPE)

    def read(text, overrides=()):
        (tmp_path / "space.yaml").write_text(text)
        return read_space(tmp_path / "space.yaml", "r.yaml", overrides)

    return read


@pytest.fixture
def problems(space):
    def read(text, overrides=()):
        with pytest.raises(InputErrors) as caught:
            space(text, overrides)
        return [str(problem) for problem in caught.value.problems]

    return read


def test_ranges_and_choices_are_read_with_dots_or_nested(space):
    found = space(
        "optimizer.lr: {low: 1e-4, high: 1e-2, log: true}\n"
        "loss: [dice_ce, {name: dice_focal, gamma: 3.0}]\n"
        "plan:\n  batch_size: {low: 2, high: 8, step: 2}\n"
        "trainer: {ema: [null, 0.99]}\n"
    )
    assert found == (
        Range("optimizer.lr", 1e-4, 1e-2, log=True),
        Choice("loss", ("dice_ce", {"name": "dice_focal", "gamma": 3.0})),
        Range("plan.batch_size", 2, 8, step=2),
        Choice("trainer.ema", (None, 0.99)),
    )
    assert found[2].whole and not found[0].whole


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer.lr", 1e-5),
        ("optimizer.lr", 0.1 + 0.2),
        ("plan.batch_size", 4),
        ("trainer.ema", None),
        ("loss", "dice_focal"),
        ("data.root", "a # b: [c]"),
        ("network", {"name": "unet", "convs_per_stage": 3}),
    ],
)
def test_a_value_is_the_same_after_its_way_over_the_command_line(key, value):
    found = load_text("data: {root: /d}", overrides=[override(key, value)]).to_dict()
    for part in key.split("."):
        found = found[part]
    if isinstance(value, dict):
        assert found.items() >= value.items()
    elif key == "loss":
        assert found["name"] == value
    else:
        assert found == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("optimiser.lr: [1, 2]", ["space.yaml:1", "optimiser.lr", "did you mean optimizer"]),
        ("optimizer.lr: {low: 1, high: 0.5}", ["is empty", "not below"]),
        ("optimizer.lr: {low: 1, high: 1}", ["is empty"]),
        ("optimizer.lr: {low: 0, high: 1, log: true}", ["begins above 0"]),
        ("optimizer.lr: {low: 1e-4, high: 1, log: true, step: 0.1}", ["has no step"]),
        ("optimizer.lr: {low: 0.1, high: 1, step: 2}", ["within the range"]),
        ("optimizer.lr: {low: 0.1, hihg: 1}", ["found hihg", "did you mean high"]),
        ("optimizer.lr: {low: 0.1}", ["needs the numbers low and high"]),
        ("optimizer.lr: {low: a, high: b}", ["needs the numbers low and high"]),
        ("optimizer.lr: 0.1", ["expected a list of values"]),
        ("optimizer.lr: []", ["needs two values", "found 0"]),
        ("loss: [dice_ce, dice_ce]", ["needs two values", "found 1"]),
        ("loss: [dice_ce, dice_fokal]", ["dice_fokal", "did you mean dice_focal"]),
        ("plan.batch_size: {low: 0, high: 4}", ["plan.batch_size"]),
        ("run_dir: [a, b]", ["the same for all trials"]),
        ("logger.name: [csv, none]", ["the same for all trials"]),
        ("cascade.first: [null, lowres]", ["the same for all trials"]),
        ("data.fold: [0, 1]", ["compared on the same ones"]),
        ("data.root: [a, b]", ["compared on the same ones"]),
        ("data.labels: [{a: 1}, {b: 1}]", ["what a trial is scored for"]),
        ("", ["names no key"]),
        ("[a, b]", ["a mapping of keys"]),
    ],
)
def test_what_cannot_be_swept_is_said_with_its_line(problems, text, words):
    found = "\n".join(problems(text))
    assert all(word in found for word in words), found


def test_all_that_is_wrong_comes_at_once_each_with_its_line(problems):
    found = problems("optimizer.lr: {low: 2, high: 1}\nloss: [dice_ce, 3]\nseed: [1, -1]\n")
    lines = [f"space.yaml:{number}" for number in (1, 2, 3)]
    assert [any(line in one for one in found) for line in lines] == [True] * 3, found


def test_a_mistake_of_the_recipe_itself_is_told_as_such(problems):
    (found,) = problems("seed: [1, 2]", ["loss.smoth=1"])
    assert "smoth" in found and "space.yaml" not in found
