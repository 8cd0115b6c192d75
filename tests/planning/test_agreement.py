"""Our plans are nnU-Net's: its planner's own answers, pinned by benchmarks/plan_agreement.py."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

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


def test_one_difference_is_noticed():
    own = ANSWERS["Tiny"]["standard"]["3d_fullres"]
    for key in agreement.COMPARED:
        other = {**own, key: [1.5, 1, 1] if key == "spacing" else "else"}
        assert agreement.differences(own, other) == [key]
