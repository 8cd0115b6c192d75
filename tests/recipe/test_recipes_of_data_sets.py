"""Every recipe for a data set reads that data set's published layout."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from medseg.build.dataset import build_dataset
from medseg.data.prepare.fingerprint import check, fingerprint
from medseg.data.prepare.reading import read_image
from medseg.data.splits import check_splits
from medseg.errors import InputError
from medseg.planning.fingerprint import modality
from medseg.recipe import load
from medseg.recipe.shipped import folder, said, shipped

spec = importlib.util.spec_from_file_location(
    "published_layouts", Path(__file__).with_name("published_layouts.py")
)
layouts = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = layouts  # where dataclasses look for it
spec.loader.exec_module(layouts)
LAYOUTS, channel, mask = layouts.LAYOUTS, layouts.channel, layouts.mask

RECIPES = {p.stem: p for name, p in shipped().items() if name.startswith("segmentation/")}
# Written by medseg itself, and tested with their own data.
ELSEWHERE = {"brats_phantom", "echonet_dynamic"}


def read(name: str, root: Path, run: Path, *overrides: str):
    recipe = load(RECIPES[name], overrides=[f"data.root={root}", *overrides])
    return recipe, build_dataset(recipe, run)


def test_every_recipe_for_a_data_set_is_held_against_its_layout():
    assert set(RECIPES) == set(LAYOUTS) | ELSEWHERE


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_recipe_reads_the_published_layout(name, tmp_path):
    write, expected = LAYOUTS[name]
    recipe, found = read(name, write(tmp_path / "data"), tmp_path)
    assert [case.id for case in found.cases] == list(expected.cases)
    assert found.channels == tuple(expected.channels)
    assert {modality(channel) for channel in found.channels} == {expected.modality}
    assert dict(found.labels.values) == {"background": 0, **expected.values}
    assert dict(found.labels.regions) == expected.regions
    assert found.labels.order == expected.order
    assert not expected.groups or {case.group for case in found.cases} == expected.groups
    assert bool(expected.val) == bool(found.splits)
    for split in check_splits(found.splits, found.cases):
        assert split["val"] == list(expected.val)

    # All labels are there, and none that is not declared.
    taken = fingerprint(found)
    check(taken, found, empty_labels=recipe.data.empty_labels)
    image = read_image(found.cases[0], channels=len(found.channels))
    if image.data.ndim == 4:
        in_order = [float(data.max()) for data in image.data]
        assert in_order == list(range(1, len(expected.channels) + 1))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_short_and_says_what_for_how_of_what_and_what_to_expect(name):
    path = RECIPES[name]
    text = path.read_text(encoding="utf-8")
    root = "" if name == "brats_phantom" else " data.root="
    assert len(text.splitlines()) < 25
    assert f"#   medseg run {name}{root}" in text
    assert said(path, "Data")


# Where nobody has published a figure on just these cases that could be vouched for, and why.
UNVOUCHED = {"ms_lesions": "papers test on these cases together with others"}

FIGURE = r"(?<!\d)[01]?\.\d{2,3}\b"
SOURCE = r"arXiv \d{4}\.\d{5}|doi 10\.\d{4,}/\S+|\bgithub\.com/\w+"
MACHINE = r"\bon \d+ (CPU cores?|GPUs?)\b.*\(\d{4}-\d\d-\d\d\b"


def vouched(clause: str) -> bool:
    """Whether a part of what is expected has a figure, and says whose."""
    behind = SOURCE if clause.startswith("published") else MACHINE
    known = clause.startswith(("published", "ours"))
    return known and bool(re.search(FIGURE, clause)) and bool(re.search(behind, clause))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_expects_a_figure_with_its_source_or_with_date_and_machine(name):
    expected = said(RECIPES[name], "Expected").removesuffix(".")
    figures = [part for part in expected.split("; ") if not part.startswith("not measured")]
    if name in UNVOUCHED:
        assert figures == [f"no published figure vouched for, since {UNVOUCHED[name]}"]
        return
    assert figures and all(vouched(part) for part in figures), expected
    ours = any(part.startswith("ours") for part in figures)
    assert ours != ("not measured" in expected), "either ours, or not measured here"


@pytest.mark.parametrize(
    "clause",
    [
        "published for nnU-Net, .90 mean Dice",  # by whom?
        "published for nnU-Net on the test set (arXiv 1809.10486)",  # how much?
        "ours, .886 mean Dice on 2 CPU cores",  # when?
        "ours, .886 mean Dice (2026-11-23)",  # on what?
        "about .9 (arXiv 1809.10486)",  # whose?
    ],
)
def test_a_figure_that_nobody_could_look_up_is_none(clause):
    assert not vouched(clause)


def test_the_template_names_what_one_usually_changes_and_changes_nothing_itself():
    path = folder() / "template.yaml"
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in lines:
        assert "#" in line or line.endswith(":"), f"a key without a word about it: {line}"
    template, base = (load(p).model_dump() for p in (path, folder() / "base" / "mr.yaml"))
    assert template["data"].pop("root") == "data/mine" and base["data"].pop("root") is None
    for key in ("name", "run_dir"):
        del template[key], base[key]
    assert template == base


def test_the_brats_phantom_has_the_official_regions(tmp_path):
    recipe = load(RECIPES["brats_phantom"], overrides=["data.phantom.cases=2"])
    found = build_dataset(recipe, tmp_path)
    assert dict(found.labels.regions) == {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)}
    assert found.labels.order == (2, 1, 4)
    assert recipe.evaluation.empty == "one"
    check(fingerprint(found), found)


def test_the_misnamed_mask_of_brats_2020_is_left_out_and_said(tmp_path):
    write, _ = LAYOUTS["brats2020"]
    root = write(tmp_path / "data")
    case = root / "BraTS20_Training_002"
    (case / "BraTS20_Training_002_seg.nii").rename(case / "W39_1998.09.19_Segm.nii")
    _, found = read("brats2020", root, tmp_path)
    assert [c.id for c in found.unlabelled] == ["BraTS20_Training_002"]
    assert any("without a mask: BraTS20_Training_002" in note for note in found.notes)


def test_lits_in_one_folder_is_read_as_in_two(tmp_path):
    for number in (0, 28):
        channel(tmp_path / f"data/volume-{number}.nii.gz")
        mask(tmp_path / f"data/segmentation-{number}.nii.gz", (1, 2))
    _, found = read("lits", tmp_path / "data", tmp_path)
    assert [case.id for case in found.cases] == ["0", "28"]


@pytest.mark.parametrize(
    ("name", "preset", "right"),
    [
        ("brats2018", "brats2023", "brats2018"),
        ("brats2021", "brats2024_gli", "brats2021"),
        ("brats2023_gli", "brats2021", "brats2023"),
        ("brats2023_ped", "brats2024_gli", "brats2023_ped"),
        ("brats2024_gli", "brats2024_ped", "brats2023"),
        ("brats2024_ped", "brats2024_gli", "brats2023_ped"),
    ],
)
def test_the_preset_of_another_challenge_is_refused_by_the_names_of_the_cases(
    name, preset, right, tmp_path
):
    root = LAYOUTS[name][0](tmp_path / "data")
    with pytest.raises(InputError, match="not that of these cases") as error:
        read(name, root, tmp_path, f"data.labels={preset}")
    assert f"data.labels={right}" in error.value.remedy


@pytest.mark.parametrize(
    ("name", "preset", "found", "right"),
    [
        ("brats2024_gli", "brats2023", "also 4 in 3 of 3 files", "brats2024_gli"),
        ("brats2024_ped", "brats2023_ped", "also 4 in 2 of 2 files", "brats2024_ped"),
    ],
)
def test_the_preset_of_another_year_is_refused_by_the_values(name, preset, found, right, tmp_path):
    root = LAYOUTS[name][0](tmp_path / "data")
    _, dataset = read(name, root, tmp_path, f"data.labels={preset}")
    with pytest.raises(InputError) as error:
        fingerprint(dataset)
    assert found in error.value.found
    assert error.value.remedy.startswith(f"data.labels={right} ({right} has the values found)")


def test_a_region_that_no_case_has_is_refused_with_the_preset_that_fits(tmp_path):
    root = LAYOUTS["brats2023_gli"][0](tmp_path / "data")
    _, dataset = read("brats2024_gli", root, tmp_path)
    with pytest.raises(InputError, match="no case has a voxel of region 'RC'") as error:
        check(fingerprint(dataset), dataset)
    assert "value 4 in at least one label file" in str(error.value)
    assert "which hold [1, 2, 3]" in str(error.value)
    assert "brats2023 has the values found" in str(error.value)


def test_another_preset_is_named_only_if_it_has_exactly_the_values_found(tmp_path):
    root = LAYOUTS["kits19"][0](tmp_path / "kits")
    _, dataset = read("kits23", root, tmp_path, "data.regions=false")
    with pytest.raises(InputError, match="no case has a voxel of class 'cyst'") as error:
        check(fingerprint(dataset), dataset)
    assert "the label preset kits19 has the values found" in str(error.value)

    # No year of BraTS has 1 and 2 alone: these are a few cases without enhancing tumour.
    layouts.brats(layouts.OLD_ENDS, (1, 2), "p1", "p2")(tmp_path / "brats")
    _, dataset = read("brats2021", tmp_path / "brats", tmp_path)
    with pytest.raises(InputError, match="no case has a voxel of region 'ET'") as error:
        check(fingerprint(dataset), dataset)
    assert "has the values found" not in str(error.value)


def test_the_real_glioma_is_read_by_its_years_recipe_alone(real_data, tmp_path):
    root = real_data("brats/BraTS-GLI-00000-000")
    _, found = read("brats2023_gli", root, tmp_path)
    assert found.channels == layouts.MRI and dict(found.labels.regions) == layouts.NEW
    assert [path.name.rsplit("-")[-1] for path in found.cases[0].images] == [
        f"{end}.nii.gz" for end in ("t2f", "t1n", "t1c", "t2w")
    ]
    for year in ("brats2018", "brats2020", "brats2021"):
        with pytest.raises(InputError, match="not that of these cases"):
            read(year, root, tmp_path)
