"""The recipes of pictures fit the data sets that they name."""

from __future__ import annotations

import numpy as np
import pytest

from medseg.build.dataset import build_dataset
from medseg.data.prepare.reading import read_image, read_label
from medseg.data.splits import check_splits
from medseg.recipe import load
from medseg.recipe.shipped import find, shipped

PICTURES = [path for name, path in shipped().items() if "2d" in path.parent.name]


def recipe(name: str, root):
    (path,) = find(name)
    return load(path, overrides=[f"data.root={root}"])


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_recipe_of_pictures_is_short_and_says_what_to_expect(path):
    text = path.read_text()
    comment = " ".join(line[1:] for line in text.splitlines() if line.startswith("#"))
    assert len(text.splitlines()) < 25
    assert f"medseg run {path.stem} data.root=" in comment
    assert "Data:" in comment and "Published" in comment


def test_chase_holds_out_the_last_four_children(real_data, tmp_path):
    found = build_dataset(recipe("chase_db1", real_data("images2d/chase_db1")), tmp_path)
    (split,) = check_splits(found.splits, found.cases)
    assert split["val"] == ["11L", "11R", "12L", "12R", "13L", "13R", "14L", "14R"]
    assert len(split["train"]) == 20
    case = found.cases[0]
    image = read_image(case, channels=3)
    label = read_label(case.label, found.labels, value_map=found.value_map, like=image)
    assert image.data.shape == (3, 960, 999)
    assert 0.05 < label.data.mean() < 0.15


def test_membranes_are_the_dark_lines_of_isbi(real_data, tmp_path):
    found = build_dataset(recipe("isbi_em", real_data("images2d/isbi_em")), tmp_path)
    (split,) = check_splits(found.splits, found.cases)
    assert (len(split["train"]), len(split["val"])) == (24, 6)
    case = found.cases[0]
    image = read_image(case, channels=1)
    label = read_label(case.label, found.labels, value_map=found.value_map, like=image).data
    assert 0.1 < label.mean() < 0.35
    dark, bright = (np.median(image.data[0][label == index]) for index in (1, 0))
    assert dark < 0.7 * bright


def test_echonet_has_its_own_splits(echonet_data, tmp_path):
    found = build_dataset(recipe("echonet_dynamic", echonet_data.write()), tmp_path)
    (split,) = check_splits(found.splits, found.cases)
    assert split["val"] == ["0XC3_002", "0XC3_005"]
    assert found.format == "echonet"
    assert found.labels.foreground == ("left ventricle",)


def test_drive_tests_on_the_first_twenty(tmp_path):
    from PIL import Image

    for part, numbers in (("training", range(21, 41)), ("test", range(1, 21))):
        for number in numbers:
            photo = tmp_path / f"DRIVE/{part}/images/{number:02d}_{part}.tif"
            mask = tmp_path / f"DRIVE/{part}/1st_manual/{number:02d}_manual1.gif"
            for path, mode in ((photo, "RGB"), (mask, "L")):
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new(mode, (6, 5)).save(path)
    found = build_dataset(recipe("drive", tmp_path / "DRIVE"), tmp_path)
    (split,) = check_splits(found.splits, found.cases)
    assert split["val"] == [f"{n:02d}" for n in range(1, 21)]
    assert split["train"] == [f"{n}" for n in range(21, 41)]
    assert found.channels == ("red", "green", "blue")
