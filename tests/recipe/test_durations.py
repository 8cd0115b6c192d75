import pytest

from medseg.errors import InputErrors
from medseg.recipe import load_text
from medseg.recipe.durations import parse_duration, parse_interval


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15m", 900),
        ("90s", 90),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("0.5h", 1800),
        ("1d", 86400),
        ("240", 240),
        (240, 240),
        (0.5, 0.5),
        ("2M", 120),
    ],
)
def test_lengths_of_time_become_seconds(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5m", "5 minutes", "m", "1m1h", "1.2.3s", True, None])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(ValueError, match="length of time"):
        parse_duration(text)


def test_interval_is_steps_or_seconds():
    assert parse_interval(10) == 10
    assert isinstance(parse_interval(10), int)
    assert parse_interval("10s") == 10.0
    assert isinstance(parse_interval("10s"), float)
    for wrong in (0, -1, 1.5, "10", True):
        with pytest.raises(ValueError, match="steps"):
            parse_interval(wrong)


def test_recipe_gives_numbers_and_keeps_what_was_written():
    recipe = load_text("trainer: {budget: 1h30m, checkpoint_every: 5m, validate_every: 50}")
    assert recipe.trainer.budget == 5400
    assert recipe.trainer.checkpoint_every == 300.0
    assert recipe.trainer.validate_every == 50
    assert recipe.to_dict()["trainer"]["budget"] == "1h30m"
    assert recipe.to_dict()["trainer"]["checkpoint_every"] == "5m"
    assert load_text(recipe.to_yaml()) == recipe
    with pytest.raises(InputErrors, match=r"recipe\.yaml:1: trainer\.checkpoint_every"):
        load_text("trainer: {checkpoint_every: 0}")
