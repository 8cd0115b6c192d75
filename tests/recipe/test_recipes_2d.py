"""The recipes of pictures fit the real data sets that they name."""

from __future__ import annotations

import numpy as np

from medseg.build.dataset import build_dataset
from medseg.data.prepare.reading import read_image, read_label
from medseg.data.splits import check_splits
from medseg.recipe import load
from medseg.recipe.shipped import find


def recipe(name: str, root):
    (path,) = find(name)
    return load(path, overrides=[f"data.root={root}"])


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
