"""Our plans are nnU-Net's: its planner's own answers, pinned by benchmarks/plan_agreement.py."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

from medseg.networks.registry import create
from medseg.planning import presets

FOLDER = Path(__file__).parent


def script():
    path = FOLDER.parent / "benchmarks" / "plan_agreement.py"
    spec = importlib.util.spec_from_file_location("plan_agreement", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


agreement = script()
ROWS = json.loads((FOLDER / "data_sets.json").read_text())
ANSWERS = json.loads((FOLDER / "nnunet_answers.json").read_text())


def test_the_table_is_large_enough():
    names = [row["name"] for row in ROWS]
    assert len(set(names)) == len(names) >= 30
    assert all(any(f"(MSD {task})" in name for name in names) for task in range(1, 11))
    assert set(ANSWERS) == set(names)
    lowres = [name for name in names if "3d_lowres" in ANSWERS[name]["standard"]]
    assert len(lowres) >= 15


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_plans_are_those_of_nnunet_or_the_reason_is_written(row):
    compared = list(agreement.compare([row], ANSWERS))
    assert len(compared) >= len(agreement.PRESETS)
    for one in compared:
        assert not one.unlike or one.reason, (one.preset, one.configuration, one.own, one.theirs)


def test_most_plans_need_no_reason():
    unlike = [row["name"] for row in ROWS if row.get("regions")]
    assert unlike == ["BraTS 2021, regions"]


def planned_network(one):
    """Build our network of a plan, without memory for its weights."""
    strides, kernels = (
        [[int(n) for n in stage] for stage in one.own[key].split()]
        for key in ("strides", "kernels")
    )
    arguments = {
        "spatial_dims": len(strides[0]),
        "in_channels": len(one.row["channels"]),
        "num_classes": one.row["classes"] + 1,
        "features": one.own["features"],
        "strides": strides,
        "kernels": kernels,
        "deep_supervision": True,  # nnU-Net's networks always have these heads
    }
    with torch.device("meta"):
        return create(presets.find(one.preset).network, arguments)


@pytest.mark.parametrize(
    "name", ["BraTS 2021", "Prostate (MSD 5)", "Hippocampus (MSD 4)", "Retina fundus"]
)
def test_planned_networks_have_the_parameters_of_nnunets(name):
    # Counted by nnunet_planner.py in networks of dynamic_network_architectures 0.4.4.
    (row,) = (row for row in ROWS if row["name"] == name)
    for one in agreement.compare([row], ANSWERS):
        count = sum(p.numel() for p in planned_network(one).parameters())
        assert count == one.theirs["parameters"], (one.preset, one.configuration)


def test_the_presets_for_brats_have_the_parameters_that_the_documentation_states():
    found = {p: c["3d_fullres"]["parameters"] for p, c in ANSWERS["BraTS 2021"].items()}
    assert found == {
        "standard": 31_199_796,
        "resenc_s": 62_813_488,
        "resenc_m": 102_353_972,
        "resenc_l": 102_353_972,
        "resenc_xl": 102_353_972,
    }


def test_one_difference_is_noticed():
    own = ANSWERS["Tiny"]["standard"]["3d_fullres"]
    for key in agreement.COMPARED:
        other = {**own, key: [1.5, 1, 1] if key == "spacing" else "else"}
        assert agreement.differences(own, other) == [key]
