import pytest

from medseg.errors import InputError
from medseg.recipe import load_text


def problems(cascade):
    try:
        load_text(f"cascade: {cascade}")
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "cascade",
    [
        "null",
        "{}",
        "{first: lowres}",
        "{first: coarse, spacing: 4, margin: 0}",
        "{first: coarse, spacing: [4, 4, 8], use: both, margin: 12.5}",
        "{first: lowres, use: crop, margin: 5, out_of_fold: false}",
        "{first: runs/other, use: both, margin: 5}",
    ],
)
def test_what_makes_sense_is_taken(cascade):
    assert problems(cascade) == ""


def test_a_resolved_recipe_is_read_again():
    for cascade in ("{}", "{first: coarse, margin: 3}"):
        recipe = load_text(f"cascade: {cascade}")
        assert load_text(recipe.to_yaml()) == recipe


@pytest.mark.parametrize(
    ("cascade", "words"),
    [
        ("{first: coarse, margin: -1}", ("cascade.margin", "at least 0")),
        ("{first: coarse, spacing: 0}", ("cascade.spacing",)),
        ("{first: lowres, use: mask}", ("cascade.use", "channels")),
        ("{use: crop}", ("cascade.use", "cascade.first")),
        ("{margin: 30}", ("cascade.margin", "cascade.first")),
        ("{out_of_fold: false}", ("cascade.out_of_fold", "cascade.first")),
        ("{first: runs/a, spacing: 4}", ("cascade.spacing", "runs/a is trained")),
        ("{first: lowres, margin: 30}", ("cascade.margin", "nothing is cropped")),
        ("{frist: lowres}", ("cascade.frist", "first")),
    ],
)
def test_what_makes_none_is_refused_with_its_key(cascade, words):
    found = problems(cascade)
    assert found and all(word in found for word in words), found
