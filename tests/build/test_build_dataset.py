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


def test_a_data_set_of_boxes_is_recognised_but_not_segmented(tmp_path):
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "boxes.csv").write_text("image,class,x,y,width,height\na.nii.gz,cell,1,1,2,2\n")
    recipe = load_text(f"data: {{root: {tmp_path}}}")
    with pytest.raises(InputError, match="detection in boxlist layout") as error:
        build_dataset(recipe, tmp_path)
    assert error.value.found == "boxes (cell) in 1 images"
