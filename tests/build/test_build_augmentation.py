"""Transforms of a recipe, and what they mirror."""

import pytest

from medseg.build.augmentation import build_augmentation, mirrored_axes
from medseg.labels import LabelScheme
from medseg.planning.plan import Normalisation, Plan, PreprocessingPlan
from medseg.recipe import load_text

PLAN = Plan(
    preprocessing=PreprocessingPlan("RAS", "none", (1.0, 1.0, 1.0), (Normalisation("none"),)),
    patch_size=(16, 16, 16),
    batch_size=2,
    strides=((1, 1, 1), (2, 2, 2)),
    kernels=((3, 3, 3), (3, 3, 3)),
    features=(4, 8),
)
DATA = "data: {format: phantom, phantom: {cases: 2}}"


def mirrored(text, names=("liver",)):
    recipe = load_text(f"{{{DATA}, {text}}}")
    labels = LabelScheme({"background": 0} | {name: n for n, name in enumerate(names, 1)})
    return mirrored_axes(build_augmentation(recipe, PLAN, labels), PLAN.patch_size)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("{budget: 9m}", ()),
        ("{budget: 10m}", (0,)),
        ("{budget: null, steps: 1499}", ()),
        ("{budget: null, steps: 1500}", (0,)),
        ("{budget: null, epochs: 30}", (0,)),
    ],
)
def test_the_light_set_mirrors_left_right_in_long_trainings(limit, expected):
    assert mirrored(f"augmentation: light, trainer: {limit}") == expected


def test_the_strong_set_mirrors_every_axis_whatever_the_time():
    assert mirrored("augmentation: strong, trainer: {budget: 1m}") == (0, 1, 2)


def test_a_class_that_knows_its_side_is_not_mirrored():
    assert mirrored("augmentation: strong", ["left kidney"]) == (1, 2)
    assert mirrored("augmentation: light, trainer: {budget: 1h}", ["left kidney"]) == ()


def test_mirrors_of_a_list_are_found():
    assert mirrored("augmentation: [{name: mirror, axes: [1]}, brightness]") == (1,)
    assert mirrored("augmentation: [mirror]") == (0, 1, 2)
    assert mirrored("augmentation: [{name: mirror, p: 0}]") == ()


def test_a_mirror_that_names_no_axes_leaves_a_class_on_its_side():
    assert mirrored("augmentation: [mirror]", ["lung_R"]) == (1, 2)
    assert mirrored("augmentation: [{name: mirror, axes: [0]}]", ["lung_R"]) == (0,)
