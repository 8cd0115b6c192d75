"""Folds, labels, regions, colours, weights and ensembles that cannot be, end to end.

Each is refused before anything is trained or written: exit code 2, and what is wrong, where, what
was expected, what was found and how to mend it, without a traceback.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from medseg.cli import main

SHAPE = (20, 18, 16)


@dataclass(frozen=True)
class Refused:
    """A command, and words that its message must have."""

    command: Sequence[object]
    words: Sequence[str]
    by_line: bool = False  # of the recipe, where one sentence says it all


def volumes(folder, *names, channels=("",)):
    """Write small cases in plain folders, a file per channel."""
    data = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    mask = np.zeros(SHAPE, np.uint8)
    mask[5:12, 5:12, 5:12] = 1
    mask[8:10, 8:10, 8:10] = 2
    for name in names:
        for part, array, ends in (("images", data, channels), ("labels", mask, ("",))):
            (folder / part).mkdir(parents=True, exist_ok=True)
            for end in ends:
                path = folder / part / f"{name}{end}.nii.gz"
                nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    return folder


def recipe_of(here, data, *more):
    """Write a recipe for a folder of `volumes` or pictures."""
    lines = ["extends: base/mr", "data:", f"  root: {data}", "  workers: 0", *more]
    (here / "mine.yaml").write_text("\n".join([*lines, "trainer: {steps: 1}", "logger: none", ""]))
    return here / "mine.yaml"


def two_classes(here, *more):
    data = volumes(here / "data", "p1_a", "p1_b", "p2_a", "p3_a")
    return recipe_of(here, data, "  labels: {organ: 1, tumour: 2}", *more)


def more_folds_than_cases(at):
    return Refused(["run", at.recipe, "data.folds=7"], ["7 folds", "6", "data.folds="])


def more_folds_than_patients(at):
    recipe = two_classes(at.here, '  group_pattern: "{group}_?"', "  folds: 4")
    return Refused(["run", recipe], ["4 folds", "3", "data.folds="])


def a_patient_pattern_that_matches_nothing(at):
    recipe = two_classes(at.here, '  group_pattern: "scan{group}"')
    return Refused(
        ["run", recipe], ["data.group_pattern does not fit", "none fits", "'scan{group}'", "p1_a"]
    )


def an_ignored_value_that_is_also_a_class(at):
    recipe = recipe_of(
        at.here,
        volumes(at.here / "data", "a", "b"),
        "  labels: {organ: 1, tumour: 2, ignore: 2}",
    )
    return Refused(
        ["run", recipe, "data.folds=2"], ["value 2, which tumour has", "of its own"], True
    )


def regions_that_cross(at):
    recipe = two_classes(at.here, "  regions: {left: [1, 2], right: [2]}", "  region_order: [2, 1]")
    return Refused(["run", recipe], ["decoding makes", "region_order"])


def a_region_of_a_label_that_is_not_declared(at):
    recipe = two_classes(at.here, "  regions: {whole: [1, 2], core: [3]}")
    return Refused(["run", recipe], ["3 is not one of 1, 2"], True)


def two_regions_that_are_the_same(at):
    recipe = two_classes(
        at.here, "  regions: {whole: [1, 2], all: [2, 1]}", "  region_order: [1, 2]"
    )
    return Refused(["run", recipe], ["'whole'", "'all'", "the same"])


def a_region_that_could_write_either_of_two_labels(at):
    recipe = two_classes(at.here, "  regions: {whole: [1, 2]}")
    return Refused(["run", recipe], ["mine.yaml", "region 'whole'", "[1, 2]", "data.region_order"])


def a_palette_with_an_undeclared_colour(at):
    for number in range(3):
        index = np.zeros((24, 24), np.uint8)
        index[4:9, 4:9] = 1
        if number == 2:
            index[12:14, 12] = 2
        mask = Image.fromarray(index, mode="P")
        mask.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
        for part, picture in (("images", Image.new("L", (24, 24))), ("labels", mask)):
            (at.here / "glands" / part).mkdir(parents=True, exist_ok=True)
            picture.save(at.here / "glands" / part / f"g{number}.png")
    recipe = recipe_of(at.here, at.here / "glands", "  labels: {gland: 1}")
    words = ["g2.png", "index 2 (colour 0x0000ff) in 2 pixels", "data.value_map={2: 0}"]
    return Refused(["run", recipe, "data.folds=2"], words)


def videos_of_which_none_is_traced(at):
    root = at.echonet.write()
    (root / "VolumeTracings.csv").write_text("FileName,X1,Y1,X2,Y2,Frame\n")
    return Refused(
        ["run", "echonet_dynamic", f"data.root={root}", "run_dir=runs/echo"],
        ["VolumeTracings.csv", "tracings"],
    )


def videos_without_a_table_of_tracings(at):
    root = at.echonet.write()
    (root / "VolumeTracings.csv").unlink()
    return Refused(
        ["run", "echonet_dynamic", f"data.root={root}", "run_dir=runs/echo"],
        ["VolumeTracings.csv"],
    )


def videos_alone(at):
    root = at.echonet.write()
    for table in root.glob("*.csv"):
        table.unlink()
    return Refused(["init", root], [str(root), "VolumeTracings.csv"])


def channels_that_change_places(at):
    data = volumes(at.here / "data", "a", "b", "c", channels=("_t1", "_flair"))
    rows = ["id,image_1,image_2,label"]
    for name, (first, second) in (("a", "12"), ("b", "12"), ("c", "21")):
        files = {"1": f"images/{name}_t1.nii.gz", "2": f"images/{name}_flair.nii.gz"}
        rows.append(f"{name},{files[first]},{files[second]},labels/{name}.nii.gz")
    (data / "study.csv").write_text("\n".join(rows))
    recipe = recipe_of(at.here, data, "  format: datalist", "  labels: {organ: 1, tumour: 2}")
    words = [
        "study.csv",
        "channels in another order",
        "c_flair.nii.gz stands for",
        "list the files",
    ]
    return Refused(["run", recipe, "data.folds=2"], words)


def weights_of_which_nothing_fits(at):
    torch.save({"somewhere.else.weight": torch.zeros(3, 3)}, at.here / "weights.pt")
    words = ["weights.pt", "somewhere.else.weight"]
    return Refused(["run", at.recipe, "transfer={from: weights.pt, regime: large}"], words)


def runs_of_other_labels(at):
    at.relabel({"values": {"background": 0, "head": 1, "cyst": 5}})
    words = ["same labels", "other", "cyst 5", "tail 2", "data.labels"]
    return Refused(["predict", *at.run_and_image, "--with", at.other, "-o", "masks"], words)


def runs_of_classes_and_of_regions(at):
    regions = {"whole": [1, 2], "tail": [2]}
    at.relabel(
        {
            "values": {"background": 0, "head": 1, "tail": 2},
            "regions": regions,
            "region_order": [1, 2],
        }
    )
    words = ["same labels", "whole", "data.regions"]
    command = [
        "predict",
        *at.run_and_image,
        "--with",
        at.other,
        "--average",
        "logits",
        "-o",
        "masks",
    ]
    return Refused(command, words)


def an_average_of_one_run(at):
    command = ["predict", *at.run_and_image, "--average", "logits", "-o", "masks"]
    return Refused(command, ["--average", "there is one", "--with RUN"])


MISTAKES = [
    more_folds_than_cases,
    more_folds_than_patients,
    a_patient_pattern_that_matches_nothing,
    an_ignored_value_that_is_also_a_class,
    regions_that_cross,
    a_region_of_a_label_that_is_not_declared,
    two_regions_that_are_the_same,
    a_region_that_could_write_either_of_two_labels,
    a_palette_with_an_undeclared_colour,
    videos_of_which_none_is_traced,
    videos_without_a_table_of_tracings,
    videos_alone,
    channels_that_change_places,
    weights_of_which_nothing_fits,
    runs_of_other_labels,
    runs_of_classes_and_of_regions,
    an_average_of_one_run,
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny):
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(tiny)
    assert main(["fit", str(folder / "tiny.yaml"), f"run_dir={folder / 'run'}", "-q"]) == 0
    return folder / "run"


@pytest.fixture
def at(here, recipe, phantom, echonet_data, trained):
    """Where a mistake is made, and what there is to make it with."""
    other = here / "other"

    def relabel(labels):
        shutil.copytree(trained, other)
        path = other / "fold_0" / "checkpoints" / "best.ckpt"
        content = torch.load(path, weights_only=False)
        content["medseg"]["labels"] = labels
        torch.save(content, path)

    image = next((phantom / "imagesTr").iterdir())
    return SimpleNamespace(
        here=here,
        recipe=recipe,
        echonet=echonet_data,
        other=other,
        run_and_image=(trained, image),
        relabel=relabel,
    )


@pytest.mark.parametrize("make", MISTAKES, ids=lambda f: f.__name__)
def test_what_cannot_be_is_refused_with_a_way_out(make, at, cli, here):
    refused = make(at)
    code, out, err = cli(*refused.command)
    assert code == 2, out + err
    assert "Traceback" not in out + err
    missing = [word for word in refused.words if word not in err]
    assert not missing, err
    if refused.by_line:
        assert re.search(r"mine\.yaml:\d+: data\.", err), err
    else:
        for line in ("expected:", "found:", "remedy:"):
            assert line in err, f"no {line}\n{err}"
    assert not list((here / "runs").rglob("*.ckpt")) and not list(here.rglob("masks/*"))
