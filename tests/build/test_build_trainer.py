import pytest

from medseg.build import trainer
from medseg.build.device import training_precision
from medseg.recipe import load_text
from medseg.training import precision

TEXT = "data: {format: phantom}\ntrainer: {accelerator: cpu, %s}\n"


def recipe(text):
    return load_text(TEXT % text)


@pytest.mark.parametrize(("pays", "expected"), [(True, "bf16-mixed"), (False, "32")])
def test_on_a_cpu_bfloat16_is_chosen_where_it_pays(monkeypatch, pays, expected):
    monkeypatch.setattr(precision, "bf16_pays_on_cpu", lambda: pays)
    assert training_precision(recipe("budget: 1m")) == expected
    assert training_precision(recipe("budget: 1m, precision: 32")) == "32"


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("steps: 40", None, (None, 40)),
        ("steps: 40", 50.0, (None, 50)),
        ("epochs: 3, accumulate: 2", None, (None, 9)),
        ("budget: 2m", None, (120.0, None)),
        ("budget: 2m", 300.0, (300.0, None)),
    ],
)
def test_the_clock_has_the_recipes_limit_or_that_of_its_extension(text, limit, expected):
    clock = trainer._clock(recipe(text), 5, limit)
    assert (clock.budget, clock.steps) == expected
