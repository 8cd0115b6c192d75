"""``init`` on data in which objects are to be found; what it writes can be run."""

from __future__ import annotations

import json

import numpy as np
import pytest

from medseg.recipe import load
from tests import box_data

RUN = [
    "trainer.steps=2",
    "trainer.budget=null",
    "data.workers=0",
    "plan.patch_size=16",
    "plan.features=[4,8,8]",
    "network.channels=8",
    "trainer.precision=32",
    "logger=none",
]


@pytest.mark.parametrize(
    ("layout", "base", "network", "objects"),
    [
        ("voc", "2d", "retina_net", "boxes"),
        ("coco", "2d", "retina_net", "boxes"),
        ("nndetection", "ct", "retina_unet", "instances"),
        ("luna16", "ct", "retina_net", "boxes"),
        ("lidc", "ct", "retina_net", "boxes"),
        ("boxlist", "mr", "retina_net", "boxes"),
    ],
)
def test_a_layout_that_lists_objects_makes_a_recipe_that_finds_them(
    cli, here, layout, base, network, objects
):
    box_data.LISTED[layout](here / "study")
    code, _, err = cli("init", "study", "-o", "mine.yaml")
    assert code == 0, err
    text = (here / "mine.yaml").read_text()
    assert f"extends: base/{base}\n" in text and "# mine: find " in text
    recipe = load(here / "mine.yaml")
    assert (recipe.task, recipe.data.format) == ("detection", layout)
    assert (recipe.network.name, recipe.detection.objects) == (network, objects)
    assert recipe.detection.empty == "negative"
    assert cli("validate", "mine.yaml")[0] == 0
    code, _, err = cli("run", "mine.yaml", *RUN)
    assert code == 0, err
    metrics = json.loads((here / "runs" / "mine" / "metrics.json").read_text())
    assert metrics["task"] == "detection" and metrics["n_cases"] == 1
    (case,) = metrics["cases"].values()
    assert case


def test_masks_are_segmented_unless_boxes_are_asked_for(cli, here):
    box_data.masks(here / "study")
    code, _, err = cli("init", "study", "-o", "masks.yaml")
    assert code == 0, err
    assert load(here / "masks.yaml").task == "segmentation"
    assert "task: detection" in (here / "masks.yaml").read_text()
    code, _, err = cli(
        "init", "study", "task=detection", "detection.smallest=5", "-o", "boxes.yaml"
    )
    assert code == 0, err
    recipe = load(here / "boxes.yaml")
    assert (recipe.task, recipe.network.name) == ("detection", "retina_unet")
    assert (recipe.detection.objects, recipe.detection.smallest) == ("components", 5)
    assert cli("run", "boxes.yaml", *RUN)[0] == 0


def test_a_recipe_for_masks_finds_boxes_by_one_word(cli, here):
    box_data.masks(here / "study")
    assert cli("init", "study", "-o", "masks.yaml")[0] == 0
    recipe = load(here / "masks.yaml", ["task=detection"])
    assert recipe.network.name == "retina_unet"


def test_maps_that_number_objects_are_objects_where_that_is_said(cli, here):
    box_data.instances(here / "study")
    words = ["task=detection", "detection.objects=instances"]
    code, _, err = cli("init", "study", *words, "-o", "mine.yaml")
    assert code == 0, err
    recipe = load(here / "mine.yaml")
    assert recipe.detection.objects == "instances"
    assert recipe.data.labels == {"background": 0, "object": 1}
    code, _, err = cli("run", "mine.yaml", *RUN)
    assert code == 0, err


def test_a_folder_that_lists_objects_is_inspected_as_what_it_is(cli, here):
    box_data.voc(here / "study")
    code, out, err = cli("inspect", "study")
    assert code == 0, err
    assert "cell" in out + err


def test_a_segmentation_of_boxes_is_refused_with_the_way_out(cli, here):
    box_data.voc(here / "study")
    code, _, err = cli("init", "study", "task=segmentation", "-o", "mine.yaml")
    assert code == 2 and "task: detection" in err
    assert not (here / "mine.yaml").exists()


def test_masks_of_many_values_may_be_numbered_objects(cli, here):
    for number in range(2):
        numbers = np.zeros((16, 16, 16), np.uint8)
        for value in range(1, 8):
            numbers[2 * value, 2:5, 2:5] = value
        box_data.volume(here / f"study/images/{number}.nii.gz", numbers.astype(np.float32))
        box_data.volume(here / f"study/labels/{number}.nii.gz", numbers)
    _, out, err = cli("init", "study", "-o", "mine.yaml")
    assert "if each value is an object: task=detection detection.objects=instances" in out + err
