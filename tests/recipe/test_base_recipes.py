"""What recipes stand on: one base for MR, CT and pictures each, on a neutral one."""

from __future__ import annotations

import pytest

from medseg.build.augmentation import build_augmentation, mirrored_axes
from medseg.labels import LabelScheme
from medseg.planning.plan import Normalisation, Plan, PreprocessingPlan
from medseg.recipe import load, load_text
from medseg.recipe.reading import read_file
from medseg.recipe.shipped import folder, shipped

BASES = {path.stem: path for path in (folder() / "base").glob("*.yaml")}
RECIPES = {name: path for name, path in shipped().items() if not name.startswith("base/")}


def own(path):
    return read_file(path, []).plain()


def flat(mapping, *above):
    for key, value in mapping.items():
        if isinstance(value, dict) and "name" not in value:
            yield from flat(value, *above, key)
        else:
            yield (*above, key)


def test_each_modality_has_a_base_of_its_own_on_the_neutral_one():
    assert set(BASES) == {"common", "mr", "ct", "2d"}
    for name in set(BASES) - {"common"}:
        said = own(BASES[name])
        assert said.pop("extends") == "common" and said, name


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_stands_on_the_base_of_its_folder(name):
    parent = own(RECIPES[name])["extends"].removeprefix("base/")
    kind = name.split("/")[-2 if name.startswith("segmentation/") else 0]
    by_folder = {
        "brats": {"mr"},
        "decathlon": {"mr", "ct"},
        "ct_mr": {"common"},
        "detection": {"mr", "ct", "2d"},
    }
    by_folder |= {"quickstart": {"mr"}, "template": {"mr"}}
    assert parent in by_folder.get(kind, {kind})


@pytest.mark.parametrize("name", BASES)
def test_a_value_that_is_the_default_is_said_to_be_so(name):
    neutral, recipe = load_text("seed: 0").to_dict(), load(BASES[name]).to_dict()
    text = BASES[name].read_text(encoding="utf-8")
    repeated = []
    for key in flat({k: v for k, v in own(BASES[name]).items() if k != "extends"}):
        a, b = neutral, recipe
        for part in key:
            a, b = a[part], b[part]
        repeated += [key] if a == b else []
    assert len(repeated) <= text.lower().count("the default"), repeated


def test_the_neutral_base_says_nothing_of_what_images_show():
    said = own(BASES["common"])
    assert not {"data", "plan", "augmentation"} & set(said)


def test_modalities_scale_by_their_own_rule():
    assert load(BASES["mr"]).data.modality == "mr"
    assert load(BASES["ct"]).data.modality == "ct"
    assert load(BASES["2d"]).data.modality == load(BASES["common"]).data.modality == "auto"


@pytest.mark.parametrize(("classes", "axes"), [(["vessel"], (0, 1)), (["left lung"], ())])
def test_pictures_are_mirrored_from_the_first_minute_unless_a_class_knows_its_side(classes, axes):
    plan = Plan(
        preprocessing=PreprocessingPlan(None, "none", (1.0, 1.0), (Normalisation("none"),)),
        patch_size=(16, 16),
        batch_size=2,
        strides=((1, 1), (2, 2)),
        kernels=((3, 3), (3, 3)),
        features=(4, 8),
    )
    labels = LabelScheme({"background": 0} | {name: n for n, name in enumerate(classes, 1)})
    for minutes in (1, 120):
        recipe = load(BASES["2d"], overrides=[f"trainer.budget={minutes}m"])
        assert mirrored_axes(build_augmentation(recipe, plan, labels), plan.patch_size) == axes
