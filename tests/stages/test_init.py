"""What ``init`` writes is what was said, and what the data are."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from medseg.data import phantoms
from medseg.errors import InputError
from medseg.recipe import load
from medseg.stages import init, look
from medseg.stages.reporter import Reporter
from medseg.stages.splits import folds_of

NESTED = {"all": (1, 2, 3), "core": (1, 3), "active": (3,)}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Make a folder of images whose values begin at ``lowest``, with a mask each."""
    monkeypatch.chdir(tmp_path)

    def make(*names, lowest=0.0, kind="int16", channel=""):
        rng = np.random.default_rng(0)
        for name in names:
            image = rng.integers(0, 1400, (9, 8, 7)) + lowest
            image[0, 0, 0] = lowest
            label = np.zeros(image.shape, np.uint8)
            label[2:6, 2:6, 2:6] = 1
            save(tmp_path / "study" / "images" / f"{name}{channel}.nii.gz", image.astype(kind))
            save(tmp_path / "study" / "labels" / f"{name}.nii.gz", label)
        return tmp_path / "study"

    return make


def save(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, np.eye(4)), path)


def written(folder, *words):
    """Run ``init`` and load the recipe that it wrote."""
    path = init.run(
        folder, folder.parent / "r.yaml", words, report=Reporter(quiet=True), overwrite=True
    )
    return load(path), path.read_text()


@pytest.mark.parametrize(
    ("lowest", "kind", "base"),
    [
        (-1024, "int16", "ct"),
        (-1024.4, "float32", "mr"),
        (-4096, "int16", "mr"),
        (0, "int16", "mr"),
    ],
    ids=["hounsfield", "fractions", "phase", "mr"],
)
def test_hounsfield_units_that_no_name_tells_are_taken_for_ct(study, lowest, kind, base):
    recipe, text = written(study("a", "b", lowest=lowest, kind=kind))
    assert f"extends: base/{base}\n" in text and recipe.data.modality == base
    assert ("look like Hounsfield units" in text) == (base == "ct")


@pytest.mark.parametrize("modality", ["ct", "mr"])
def test_a_stated_modality_is_taken_whatever_names_and_values_say(study, modality):
    lowest = -1000 if modality == "mr" else 0
    recipe, text = written(study("a", "b", lowest=lowest), f"data.modality={modality}")
    assert f"extends: base/{modality}\n" in text and recipe.data.modality == modality


def test_what_each_channel_shows_is_written_where_it_was_said(study):
    recipe, text = written(study("a", "b"), "data.channels={HU1: ct}")
    assert recipe.data.channels == {"HU1": "ct"} and "extends: base/ct\n" in text


def test_everything_that_was_said_of_the_data_is_in_the_recipe(study):
    said = {
        "folds": 2,
        "fold": 1,
        "empty_labels": True,
        "workers": 0,
        "cache": "disk",
        "regions": False,
        "labels": {"background": 0, "organ": 1},
    }
    words = [f"data.{key}={json.dumps(value)}" for key, value in said.items()]
    data = written(study("a", "b", "c"), *words)[0].data.model_dump()
    assert {key: data[key] for key in said} == said


def test_splits_of_ones_own_are_written_and_read(study, tmp_path):
    (tmp_path / "mine.json").write_text('[{"train": ["a"], "val": ["b"]}]')
    folder = study("a", "b", "c")
    recipe, text = written(folder, "data.splits=mine.json")
    assert recipe.data.splits == "mine.json" and "folds:" not in text
    with pytest.raises(InputError, match="fold 0 names"):
        (tmp_path / "mine.json").write_text('[{"train": ["a"], "val": ["z"]}]')
        written(folder, "data.splits=mine.json")


@pytest.mark.parametrize(
    "word", ["trainer.budget=60s", "network=foo", "seed=1", "data.format=phantom"]
)
def test_what_would_be_lost_is_refused_before_anything_is_read(tmp_path, word):
    with pytest.raises(InputError, match=r"init takes data\.KEY=VALUE"):
        written(tmp_path / "not_even_there", word)


@pytest.mark.parametrize(
    ("names", "folds", "fold"),
    [("a1 a2 b1", 2, 0), ("a1 a2 a3", 5, "all"), ("a1 b1 c1 d1 e1 f1", 5, 0)],
)
def test_there_are_no_more_folds_than_patients(study, names, folds, fold):
    folder = study(*names.split())
    recipe, _ = written(folder, "data.group_pattern={group}?")
    assert (recipe.data.folds, recipe.data.fold) == (folds, fold)
    _, dataset, _ = look.at_folder(
        folder, ["data.group_pattern={group}?"], report=Reporter(quiet=True)
    )
    folds_of(recipe, dataset, None)  # it can run


def test_a_recipe_that_cannot_run_is_refused_with_the_keys_that_do_it(study, tmp_path):
    folder = study("a1", "a2", "b1")
    with pytest.raises(InputError, match="both training and validation") as caught:
        written(folder, "data.group_pattern={group}?", "data.held_out=[a1]")
    assert caught.value.file and "data.held_out" in caught.value.remedy
    assert "data.group_pattern" in caught.value.remedy
    with pytest.raises(InputError, match="3 cases of 2 patients cannot fill 3 folds"):
        written(folder, "data.group_pattern={group}?", "data.folds=3")
    assert not (tmp_path / "r.yaml").exists()


def test_a_folder_that_is_not_there_is_the_path_that_was_typed(tmp_path):
    (tmp_path / "livers").mkdir()
    with pytest.raises(InputError, match="does not exist") as caught:
        written(tmp_path / "liver")
    assert caught.value.remedy == "did you mean 'livers'?"
    with pytest.raises(InputError) as caught:
        written(tmp_path / "no" / "where")
    assert caught.value.remedy == "correct the path"


@pytest.mark.parametrize(
    ("words", "regions"),
    [
        ((), True),
        (("data.regions=false",), False),
        (("data.regions={all: [1, 2, 3], core: [1, 3], active: [3]}",), NESTED),
    ],
)
def test_regions_of_a_preset_are_those_that_were_asked_for(tmp_path, words, regions):
    phantoms.write("brats", tmp_path / "brats", cases=2, shape=(24, 24, 20), naming="2023")
    assert written(tmp_path / "brats", *words)[0].data.regions == regions
