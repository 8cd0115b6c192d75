import json
from pathlib import Path

import pytest

from medseg.data.case import Case, Dataset
from medseg.errors import InputError
from medseg.labels import LabelScheme
from medseg.planning.fingerprint import CaseFingerprint, Fingerprint
from medseg.recipe import load_text
from medseg.stages.splits import cases_of_fold, folds_of, labels_of, recorded_splits


def dataset(count, **options):
    cases = tuple(Case(f"c{i}", (Path(f"c{i}.nii"),), Path(f"l{i}.nii")) for i in range(count))
    return Dataset("folders", Path(), cases, ("MR",), LabelScheme({"a": 1}), **options)


def recipe(text="fold: 0"):
    return load_text(f"data: {{{text}}}")


def trained(folder):
    (folder / "fold_0" / "checkpoints").mkdir(parents=True)
    (folder / "fold_0" / "checkpoints" / "last.ckpt").touch()


def read(folder):
    return json.loads((folder / "splits.json").read_text())


def test_every_case_is_held_out_once(tmp_path):
    held_out = [
        case.id
        for fold in range(5)
        for case in cases_of_fold(recipe(f"fold: {fold}"), dataset(11), tmp_path)[1]
    ]
    assert sorted(held_out) == sorted(case.id for case in dataset(11).cases)


def test_new_cases_deal_new_folds_only_while_nothing_is_trained(tmp_path):
    cases_of_fold(recipe(), dataset(10), tmp_path)
    cases_of_fold(recipe(), dataset(11), tmp_path)
    before = read(tmp_path)
    trained(tmp_path)
    with pytest.raises(InputError, match=r"1 new \(c11\)"):
        cases_of_fold(recipe(), dataset(12), tmp_path)
    assert read(tmp_path) == before


def test_a_fold_that_does_not_exist_writes_nothing(tmp_path):
    with pytest.raises(InputError, match="0 to 4"):
        cases_of_fold(recipe("fold: 7"), dataset(10), tmp_path)
    assert not (tmp_path / "splits.json").exists()


def test_training_on_all_cases_keeps_the_folds(tmp_path):
    cases_of_fold(recipe(), dataset(10), tmp_path)
    before = read(tmp_path)
    train, val = cases_of_fold(recipe("fold: all"), dataset(10), tmp_path)
    assert len(train) == 10 and val == () and read(tmp_path) == before


def test_a_single_case_can_be_trained_on_but_not_split(tmp_path):
    train, val = cases_of_fold(recipe("fold: all"), dataset(1), tmp_path)
    assert len(train) == 1 and val == ()
    with pytest.raises(InputError, match=r"data\.fold=all"):
        cases_of_fold(recipe(), dataset(1), tmp_path / "other")


def test_the_users_own_splits_win(tmp_path):
    own = [{"train": ["c0", "c1"], "val": ["c2"]}]
    (tmp_path / "own.json").write_text(json.dumps(own))
    train, val = cases_of_fold(recipe(f"splits: {tmp_path / 'own.json'}"), dataset(5), tmp_path)
    assert [c.id for c in train] == ["c0", "c1"] and [c.id for c in val] == ["c2"]
    assert read(tmp_path) == own


def test_folds_that_the_data_set_declares_win_over_dealing(tmp_path):
    own = ({"train": ["c0", "c1"], "val": ["c2"]},)
    _, val = cases_of_fold(recipe(), dataset(3, splits=own), tmp_path)
    assert [c.id for c in val] == ["c2"]


def test_folds_that_were_edited_beside_the_data_are_replaced_with_a_word(tmp_path):
    said = []
    cases_of_fold(recipe(), dataset(10), tmp_path, say=said.append)
    assert said == []
    text = (tmp_path / "splits.json").read_text().replace('"c3"', '"c33"')
    (tmp_path / "splits.json").write_text(text)
    cases_of_fold(recipe(), dataset(10), tmp_path, say=said.append)
    assert "1 gone (c33)" in said[0]
    (tmp_path / "splits.json").write_text("[")
    cases_of_fold(recipe(), dataset(10), tmp_path, say=said.append)
    assert "unreadable" in said[1]


def test_overwriting_is_advised_where_it_helps(tmp_path):
    cases_of_fold(recipe(), dataset(10), tmp_path)
    trained(tmp_path)
    with pytest.raises(InputError) as error:
        cases_of_fold(recipe(), dataset(11), tmp_path)
    assert "--overwrite" in str(error.value)
    with pytest.raises(InputError) as error:
        cases_of_fold(recipe("fold: 1"), dataset(11), tmp_path)
    assert "--overwrite" not in str(error.value)


def test_labels_are_asked_for_only_when_folds_are_dealt(tmp_path):
    asked = []

    def labels():
        asked.append(1)
        return {f"c{i}": ["lesion"] if i < 5 else [] for i in range(10)}

    for fold in range(5):
        _, val = cases_of_fold(recipe(f"fold: {fold}"), dataset(10), tmp_path, labels=labels)
        assert sum(int(case.id[1:]) < 5 for case in val) == 1
    assert asked == [1]


def test_dealt_folds_are_kept_whatever_the_labels(tmp_path):
    cases_of_fold(recipe(), dataset(10), tmp_path)
    before = read(tmp_path)
    trained(tmp_path)
    cases_of_fold(recipe(), dataset(10), tmp_path, labels=lambda: {"c1": ["lesion"]})
    assert read(tmp_path) == before == recorded_splits(tmp_path)


def test_looking_at_the_folds_of_a_trained_run_refuses_other_cases(tmp_path):
    cases_of_fold(recipe(), dataset(10), tmp_path)
    trained(tmp_path)
    with pytest.raises(InputError, match="1 new"):
        folds_of(recipe(), dataset(11), tmp_path)


@pytest.mark.parametrize(
    ("regions", "expected"),
    [
        ({}, {"a": ["oedema", "core"], "b": []}),
        (
            {"whole": (1, 2, 3), "inner": (2, 3), "active": (3,)},
            {"a": ["whole", "inner"], "b": []},
        ),
    ],
)
def test_labels_or_regions_that_have_voxels_occur_in_a_case(regions, expected):
    scheme = LabelScheme({"oedema": 1, "core": 2, "enhancing": 3}, regions)
    found = Fingerprint(
        ("MR",), scheme.to_dict(), (fingerprint("a", 5, 1, 2, 0), fingerprint("b", 9, 0, 0, 0)), ()
    )
    assert labels_of(found) == expected


def fingerprint(name, *voxels):
    return CaseFingerprint(
        name, (2, 2, 2), (1, 1, 1), "RAS", (2, 2, 2), "int16", "uint8", (), (), voxels
    )
