"""Every recipe for detection reads its data set's published layout, as the data section says."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from medseg.build.dataset import build_dataset
from medseg.data.prepare.objects import read_objects
from medseg.data.prepare.reading import read_image
from medseg.recipe import load
from medseg.recipe.shipped import said, shipped

spec = importlib.util.spec_from_file_location(
    "published_layouts", Path(__file__).with_name("published_layouts.py")
)
layouts = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = layouts  # where dataclasses look for it
spec.loader.exec_module(layouts)

RECIPES = {p.stem: p for name, p in shipped().items() if name.startswith("detection/")}
# The same files as those of a segmentation, and what is looked for in them.
MASKS = {
    "hippocampus": ("task04_hippocampus", ("Anterior", "Posterior")),
    "lung_tumours": ("task06_lung", ("cancer",)),
    "liver_tumours": ("task03_liver", ("tumour",)),
    "colon_tumours": ("task10_colon", ("colon cancer primaries",)),
    "pancreas_tumours": ("task07_pancreas", ("tumour",)),
    "brain_metastases": ("brats2023_met", ("metastasis",)),
}
PHANTOMS = {"quickstart": "detection/quickstart", "glioma_phantom": "glioma_phantom"}
# Whose data say where objects are, but not which voxels they have.
BOXES = {"luna16", "lidc_idri", "nlst", "bccd"}


def read(name, root, run):
    return build_dataset(load(RECIPES[name], overrides=[f"data.root={root}"]), run)


def test_there_is_a_recipe_for_each_data_set():
    assert set(RECIPES) == BOXES | set(MASKS) | set(PHANTOMS)


def test_no_recipe_is_called_as_one_of_another_task():
    names = [name.rsplit("/", 1)[-1] for name in shipped() if "/" in name]
    assert all(names.count(name) == 1 for name in RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_short_and_says_what_for_how_of_what_and_what_to_expect(name):
    path = RECIPES[name]
    text = path.read_text(encoding="utf-8")
    command = PHANTOMS.get(name, f"{name} data.root=data/")
    assert len(text.splitlines()) < 25
    assert f"#   medseg run {command}" in text
    assert said(path, "Data") and said(path, "Expected")
    assert load(path).task == "detection"


@pytest.mark.parametrize("name", RECIPES)
def test_a_figure_has_its_source_or_there_is_none_and_it_is_said_why(name):
    expected = said(RECIPES[name], "Expected")
    source = r"arXiv \d{4}\.\d{5}|doi 10\.\d{4,}/\S+|github\.com/\w+"
    figures = [part for part in expected.split("; ") if part.startswith("published")]
    without = ("no published figure vouched for, since ", "not measured", "ours, ")
    assert figures or expected.startswith(without)
    for figure in figures:
        assert re.search(r"(?<!\d)\.\d{3}\b", figure) and re.search(source, figure), figure


@pytest.mark.parametrize("name", MASKS)
def test_components_of_the_tumours_are_the_objects(name, tmp_path):
    layout, classes = MASKS[name]
    write, expected = layouts.LAYOUTS[layout]
    found = read(name, write(tmp_path / "data"), tmp_path / "run")
    assert [case.id for case in found.cases] == list(expected.cases)
    assert found.channels == tuple(expected.channels)
    assert found.labels.foreground == classes
    assert found.objects.source == "components" and found.objects.empty == "negative"


def test_luna16_is_read_with_its_subsets_as_folds(tmp_path):
    for number, scan in enumerate(("1.3.1", "1.3.2", "1.3.3")):
        path = tmp_path / f"subset{number % 2}/{scan}.mhd"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    table = "seriesuid,coordX,coordY,coordZ,diameter_mm\n1.3.1,-100.5,67.25,-231.8,6.4\n"
    (tmp_path / "annotations.csv").write_text(table)
    found = read("luna16", tmp_path, tmp_path)
    assert found.objects.source == "boxes" and found.labels.foreground == ("nodule",)
    assert [len(case.annotation.objects) for case in found.cases] == [1, 0, 0]
    assert len(found.splits) == 2


def test_the_list_of_nlst_unites_the_slices_of_an_object_and_keeps_patients_together(tmp_path):
    for scan in ("1.2.1", "1.2.2"):
        layouts.channel(tmp_path / f"{scan}.nii.gz")
    rows = [
        "seriesuid,x,y,width,height,slice,object_id,group",
        "1.2.1,1,0,2,3,1,a,100001",
        "1.2.1,1,1,3,3,2,a,100001",
        "1.2.2,,,,,,,100001",
    ]
    (tmp_path / "boxes.csv").write_text("\n".join(rows) + "\n")
    found = read("nlst", tmp_path, tmp_path)
    assert {case.group for case in found.cases} == {"100001"}
    assert found.cases[0].annotation.objects == ((1, 0, 1, 4, 4, 3),)
    assert found.cases[1].annotation.objects == ()


def phantoms_of(name, run):
    recipe = load(RECIPES[name], overrides=["data.phantom.cases=2"])
    return build_dataset(recipe, run)


def test_the_quickstart_has_nodules(tmp_path):
    assert load(RECIPES["quickstart"]).data.phantom.kind == "nodules"
    found = phantoms_of("quickstart", tmp_path)
    assert found.labels.foreground == ("nodule",) and found.channels == ("CT",)
    assert found.objects.source == "components"


def test_the_regions_of_the_glioma_phantom_are_the_objects(tmp_path):
    found = phantoms_of("glioma_phantom", tmp_path)
    assert found.labels.foreground == ("WT", "TC", "ET") and len(found.channels) == 4
    for case in found.cases:
        objects = read_objects(case, read_image(case), found.objects, found.labels)
        assert objects.boxes.classes.tolist() == [0, 1, 2]


def test_each_real_hippocampus_has_an_anterior_and_a_posterior_part(real_data, tmp_path):
    found = read("hippocampus", real_data("Task04_Hippocampus"), tmp_path)
    for case in found.cases[:5]:
        objects = read_objects(case, read_image(case), found.objects, found.labels)
        assert objects.boxes.classes.tolist() == [0, 1]


def test_the_speck_in_a_real_mask_is_no_object(real_data, tmp_path):
    found = read("hippocampus", real_data("Task04_Hippocampus"), tmp_path)
    (case,) = (case for case in found.cases if case.id == "hippocampus_156")
    volume = read_image(case)
    every = replace(found.objects, smallest=1)
    assert len(read_objects(case, volume, every, found.labels).boxes) == 3
    assert len(read_objects(case, volume, found.objects, found.labels).boxes) == 2


def test_real_blood_smears_are_read(real_data, tmp_path):
    found = read("bccd", real_data("detection/bccd"), tmp_path)
    assert set(found.labels.foreground) == {"RBC", "WBC", "Platelets"}
    assert len(found.cases) == 292 and found.splits


def test_real_scans_of_lidc_are_read(real_data, tmp_path):
    found = read("lidc_idri", real_data("detection/lidc_stacks"), tmp_path)
    assert found.objects.source == "boxes"
    assert any(case.annotation.objects for case in found.cases)
