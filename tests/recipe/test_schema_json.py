import json

import jsonschema
import pytest
from ruamel.yaml import YAML

from medseg.recipe import json_schema, load
from medseg.recipe.schema_json import FILE, to_text
from medseg.recipe.shipped import shipped


@pytest.fixture(scope="module")
def validator():
    return jsonschema.Draft7Validator(json_schema())


def test_committed_schema_is_fresh():
    assert FILE.read_text() == to_text(), "run python -m medseg.recipe.schema_json"


def test_schema_is_a_schema_and_small(validator):
    jsonschema.Draft7Validator.check_schema(validator.schema)
    assert FILE.stat().st_size < 500_000


@pytest.mark.parametrize("name", list(shipped()))
def test_shipped_and_resolved_recipes_are_valid(validator, name):
    written = YAML(typ="safe").load(shipped()[name].read_text())
    for recipe in (written, load(name).to_dict()):
        validator.validate(json.loads(json.dumps(recipe)))


@pytest.mark.parametrize("name", [n for n in shipped() if not n.startswith("base/")])
def test_shipped_recipes_point_to_the_schema(name):
    path = shipped()[name]
    first = path.read_text().splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (path.parent / first.partition("$schema=")[2]).resolve() == FILE.resolve()


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"seed": "${S:1}", "trainer": {"steps": "${N}"}},
        {"plan": None, "logger": None},
        {"network": {"deep_supervision": True}},
        {"network": "monai.SegResNet", "loss": "my.module:Loss"},
        {"loss": {"name": "my.module:Loss", "anything": [1]}},
        {"logger": ["csv", {"name": "wandb", "project": "x"}]},
        {"augmentation": ["gamma", {"name": "torchio.RandomBiasField", "p": 0.2}]},
        {"trainer": {"budget": "15m", "precision": 32, "devices": [0, 1], "validate_every": "5m"}},
        {"extends": ["a", "b"], "data": {"value_map": {"255": 1}, "fold": "all"}},
    ],
)
def test_good_recipes_are_valid(validator, recipe):
    validator.validate(recipe)


@pytest.mark.parametrize(
    "recipe",
    [
        {"netwrk": "unet"},
        {"network": "unt"},
        {"network": {"name": "unet", "deep": 1}},
        {"network": {"name": "unet", "deep_supervision": "x"}},
        {"network": {"name": "unet", "in_channels": 1}},
        {"trainer": {"steps": "many"}},
        {"trainer": {"stepz": 1}},
        {"data": {"fold": "al"}},
        {"logger": ["cvs"]},
        {"augmentation": [{"name": "gamma", "p": "x"}]},
        {"augmentation": "heavy"},
    ],
)
def test_mistaken_recipes_are_not(validator, recipe):
    assert list(validator.iter_errors(recipe))


def test_every_key_of_the_skeleton_is_described():
    schema = json_schema()
    sections = [
        schema["properties"],
        *(d["properties"] for d in schema["$defs"].values() if "properties" in d),
    ]
    for properties in sections:
        assert [key for key, item in properties.items() if "description" not in item] == []
