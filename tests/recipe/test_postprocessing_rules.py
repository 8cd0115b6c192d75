import pytest

from medseg.errors import InputError
from medseg.inference.postprocess import steps
from medseg.inference.postprocess.targets import FOREGROUND
from medseg.recipe import load_text, rules
from medseg.recipe.sections import PostprocessingStep

LABELS = "data: {labels: {background: 0, liver: 1, ignore: 255}}\n"
REGIONS = "data: {labels: {ncr: 1, ed: 2}, regions: {WT: [1, 2], TC: [1]}}\n"


def with_step(text, head=""):
    return load_text(f"{head}inference:\n  postprocessing:\n    - {{{text}}}\n")


def test_recipes_and_steps_know_the_same_words():
    field = PostprocessingStep.model_fields["name"]
    assert set(field.annotation.__args__) == set(steps.NAMES)
    assert PostprocessingStep.model_fields["of"].default == FOREGROUND == rules._FOREGROUND


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ("name: largest_component", ""),
        ("name: remove_small, of: liver, min_size: 0", LABELS),
        ("name: fill_holes, of: TC", REGIONS),
        ("name: largest_component, of: anything", "data: {labels: brats2021, regions: true}\n"),
    ],
)
def test_steps_are_read(text, head):
    (step,) = with_step(text, head).inference.postprocessing
    assert load_text(with_step(text, head).to_yaml()).inference.postprocessing == (step,)


@pytest.mark.parametrize(
    ("text", "head", "message"),
    [
        ("name: largest_component, of: lever", LABELS, "did you mean liver"),
        ("name: largest_component, of: background", LABELS, "no such class"),
        ("name: largest_component, of: ignore", LABELS, "no such class"),
        ("name: fill_holes, of: ed", REGIONS, "no such class or region: ed"),
        ("name: remove_small", "", "needs min_size"),
        ("name: fill_holes, min_size: 2", "", "has no size"),
        ("name: fill_hole", "", "did you mean fill_holes"),
        ("name: remove_small, min_size: -2", "", "at least 0"),
        ("of: liver", LABELS, "must be given"),
        ("name: fill_holes, off: liver", LABELS, "no such key"),
    ],
)
def test_wrong_steps_are_named_with_their_line(text, head, message):
    with pytest.raises(InputError) as error:
        with_step(text, head)
    line = 3 + head.count("\n")
    assert message in str(error.value) and f":{line}: inference.postprocessing" in str(error.value)
