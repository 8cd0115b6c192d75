import pytest

from medseg.build import format_options
from medseg.build.dataset import build_dataset, portable_options
from medseg.errors import InputError
from medseg.recipe import load_text

RECIPE = """
data:
  root: ${DATA_ROOT}
  image_pattern: ${PREFIX}_{case}.png
  label_pattern: "{case}_mask.png"
  value_map: {255: 1}
"""


@pytest.fixture
def recipe():
    return load_text(RECIPE, environment={"DATA_ROOT": "/private/place", "PREFIX": "ward7"})


def test_reading_uses_the_values_of_the_environment(recipe):
    assert format_options(recipe)["image_pattern"] == "ward7_{case}.png"


def test_what_checkpoints_hold_knows_nothing_of_the_environment(recipe):
    options = portable_options(recipe)
    assert "ward7" not in str(options) and "/private" not in str(options)
    assert options["label_pattern"] == "{case}_mask.png"


def test_a_recipe_without_a_data_folder_says_how_to_give_one(tmp_path):
    with pytest.raises(InputError, match=r"data\.root=FOLDER"):
        build_dataset(load_text("seed: 1"), tmp_path)
