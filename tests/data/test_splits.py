from __future__ import annotations

import json
from pathlib import Path

import pytest

from medseg.data.case import Case
from medseg.data.splits import make_splits, read_splits, write_splits
from medseg.errors import InputError


def cases(*ids: str, group=None) -> list[Case]:
    return [Case(i, (Path(f"{i}.nii.gz"),), Path("m.nii.gz"), group and group(i)) for i in ids]


NAMES = [f"case_{i:02d}" for i in range(23)]


def test_every_case_is_validated_once_and_trained_on_otherwise():
    splits = make_splits(cases(*NAMES), 5)
    assert sorted(n for fold in splits for n in fold["val"]) == NAMES
    for fold in splits:
        assert sorted(fold["train"] + fold["val"]) == NAMES
    assert sorted(len(fold["val"]) for fold in splits) == [4, 4, 5, 5, 5]


def test_the_order_of_the_cases_does_not_matter_but_the_seed_does():
    assert make_splits(cases(*NAMES), 5) == make_splits(cases(*reversed(NAMES)), 5)
    assert make_splits(cases(*NAMES), 5) != make_splits(cases(*NAMES), 5, seed=1)


def test_a_group_never_straddles():
    many = cases(*NAMES, group=lambda name: name[-1])
    group = {case.id: case.group for case in many}
    for fold in make_splits(many, 4):
        assert not {group[n] for n in fold["train"]} & {group[n] for n in fold["val"]}


def test_labels_that_all_cases_have_leave_the_folds_as_they_are():
    labels = {name: ["organ", "lesion"] for name in NAMES}
    assert make_splits(cases(*NAMES), 5, labels=labels) == make_splits(cases(*NAMES), 5)


def test_a_label_of_few_cases_is_in_every_fold_in_whatever_order_they_come():
    labels = {name: ["organ", *(["lesion"] if i % 4 == 0 else [])] for i, name in enumerate(NAMES)}
    splits = make_splits(cases(*NAMES), 5, labels=labels)
    counts = [sum("lesion" in labels[name] for name in fold["val"]) for fold in splits]
    assert sorted(counts) == [1, 1, 1, 1, 2]
    assert sorted(len(fold["val"]) for fold in splits) == [4, 4, 5, 5, 5]
    backwards = {name: labels[name][::-1] for name in reversed(NAMES)}
    assert make_splits(cases(*reversed(NAMES)), 5, labels=backwards) == splits


def test_one_case_points_to_fold_all():
    with pytest.raises(InputError, match="1 case cannot fill 5 folds") as error:
        make_splits(cases("a"), 5)
    assert "data.fold=all" in error.value.remedy
    assert "data.folds" not in error.value.remedy


def test_too_few_patients_are_counted_as_patients():
    with pytest.raises(InputError, match="4 cases of 2 patients cannot fill 3 folds") as error:
        make_splits(cases("a1", "a2", "b1", "b2", group=lambda n: n[0]), 3)
    assert "data.folds=2" in error.value.remedy and "data.group_pattern" in error.value.remedy
    with pytest.raises(InputError, match="2 cases of 1 patient cannot"):
        make_splits(cases("a1", "a2", group=lambda n: n[0]), 3)


@pytest.mark.parametrize("folds", [1, 0, -3])
def test_fewer_than_two_folds_are_refused(folds):
    with pytest.raises(InputError, match="at least 2"):
        make_splits(cases("a", "b"), folds)


def test_what_is_written_is_read_back(tmp_path):
    splits = make_splits(cases(*NAMES), 5)
    write_splits(tmp_path / "splits.json", splits)
    assert read_splits(tmp_path / "splits.json", cases(*NAMES)) == splits
    assert [p.name for p in tmp_path.iterdir()] == ["splits.json"]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "not a list of folds"),
        ([], "not a list of folds"),
        ([["a"]], "needs 'train' and 'val'"),
        ([{"train": ["a"]}], "needs 'train' and 'val'"),
        ([{"train": "a", "val": ["b"]}], "list of case ids"),
        ([{"train": ["a"], "val": ["x1"]}], "1 case that is unknown"),
        ([{"train": ["a", "b"], "val": ["b"]}], "both training and validation"),
        ([{"train": ["a", "a"], "val": ["b"]}], "more than once"),
        ([{"train": ["a"], "val": []}], "no case for validation"),
        ([{"train": [], "val": ["a"]}], "no case for training"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, state, message):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(state))
    with pytest.raises(InputError, match=message) as error:
        read_splits(path, cases("a", "b", "c"))
    assert error.value.file == path


def test_a_patient_on_both_sides_is_refused(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('[{"train": ["a1"], "val": ["a2"]}]')
    with pytest.raises(InputError, match="a patient in both"):
        read_splits(path, cases("a1", "a2", group=lambda n: n[0]))


def test_a_misspelt_id_gets_a_suggestion(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('[{"train": ["case_01"], "val": ["cse_02"]}]')
    with pytest.raises(InputError) as error:
        read_splits(path, cases("case_01", "case_02"))
    assert "did you mean 'case_02'" in error.value.found


@pytest.mark.parametrize("text", [None, "{", "\x00"])
def test_a_file_that_is_missing_or_not_json_is_refused(tmp_path, text):
    path = tmp_path / "mine.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=r"cannot be opened|is not JSON"):
        read_splits(path, cases("a", "b"))
