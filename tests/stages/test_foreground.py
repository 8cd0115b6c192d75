from __future__ import annotations

from pathlib import Path

import pytest

from medseg.errors import InputError, InputErrors
from medseg.labels import LabelScheme
from medseg.planning.fingerprint import CaseFingerprint, Fingerprint
from medseg.stages.foreground import (
    Counted,
    objects_in,
    require_foreground,
    require_in_each_fold,
)

LABELS = LabelScheme({"liver": 1, "tumour": 2})
COUNTS = {
    "both": (90, 8, 2),
    "liver": (90, 10, 0),
    "tumour": (99, 0, 1),
    "empty": (100, 0, 0),
}


def look(train: list[str], val: list[str], labels: LabelScheme = LABELS, fold=1) -> list[str]:
    counted = Counted(COUNTS, labels)
    return require_foreground(counted, train, val, splits=Path("splits.json"), fold=fold)


def test_a_fold_that_has_every_class_on_both_sides_is_silent():
    assert look(["liver", "tumour", "empty"], ["both"]) == []


def test_a_class_that_no_training_case_has_is_named_with_where_it_is():
    with pytest.raises(InputErrors, match="fold 1 cannot learn class 'tumour'") as caught:
        look(["liver", "empty"], ["both", "tumour"])
    (problem,) = caught.value.problems
    assert problem.found == "only among those held out: both, tumour"
    assert "data.fold" in problem.remedy


def test_a_class_that_vanished_everywhere_is_blamed_on_the_spacing():
    with pytest.raises(InputErrors) as caught:
        look(["liver"], ["liver"], fold="all")
    assert "vanishes at a coarse spacing" in caught.value.problems[0].found
    assert "plan.spacing" in caught.value.problems[0].remedy


def test_training_cases_without_foreground_are_refused():
    with pytest.raises(InputError, match="no training case has foreground") as caught:
        look(["empty"], ["both"])
    assert caught.value.expected == "voxels of liver, tumour"


def test_held_out_cases_without_foreground_are_a_warning():
    (warning,) = look(["both"], ["empty"])
    assert "none of the 1 held-out cases of fold 1 has foreground" in warning


def test_a_class_that_is_not_validated_is_a_warning():
    (warning,) = look(["both"], ["liver"])
    assert "no held-out case of fold 1 has class 'tumour'" in warning


def test_without_held_out_cases_there_is_nothing_to_warn_of():
    assert look(["both"], []) == []


def test_values_that_no_region_counts_need_not_be_there():
    regions = LabelScheme({"liver": 1, "tumour": 2}, {"whole": (1,)}, (1,))
    assert look(["liver"], ["both"], regions) == []


def test_a_region_is_there_if_any_of_its_values_is():
    nested = LabelScheme({"liver": 1, "tumour": 2}, {"whole": (1, 2)}, (1,))
    assert look(["tumour"], ["liver"], nested) == []


def test_a_region_that_no_training_case_has_is_named():
    regions = LabelScheme({"liver": 1, "tumour": 2}, {"whole": (1, 2), "tumour": (2,)})
    assert look(["both"], ["both"], regions) == []
    with pytest.raises(InputErrors, match="fold 1 cannot learn region 'tumour'") as caught:
        look(["liver"], ["both"], regions)
    assert len(caught.value.problems) == 1


def test_all_folds_are_looked_at_before_the_first():
    folds = [
        {"train": ["both"], "val": ["liver"]},
        {"train": ["liver"], "val": ["both"]},
        {"train": ["empty"], "val": ["both"]},
    ]
    with pytest.raises(InputErrors) as caught:
        require_in_each_fold(Counted(COUNTS, LABELS), folds, splits=Path("splits.json"))
    assert "fold 1 cannot learn class 'tumour'" in str(caught.value)
    assert "fold 2 has nothing to learn" in str(caught.value)
    assert "fold 0" not in str(caught.value)
    require_in_each_fold(Counted(COUNTS, LABELS), folds[:1], splits=Path("splits.json"))


def fingerprint(**objects: tuple) -> Fingerprint:
    cases = tuple(
        CaseFingerprint(
            id=name,
            shape=(9, 9),
            spacing=(1.0, 1.0),
            orientation=None,
            cropped_shape=(9, 9),
            image_dtype="uint8",
            label_dtype="boxes",
            foreground=(),
            nonzero=(),
            label_voxels=(81, 0, 0),
            objects=found,
        )
        for name, found in objects.items()
    )
    return Fingerprint(("image",), LABELS.to_dict(), cases, ())


BOTH = ((0, 3.0, 3.0), (1, 3.0, 3.0))


def test_objects_count_whatever_voxels_were_painted_of_them():
    counted = objects_in(fingerprint(a=BOTH, b=BOTH, c=()))
    assert dict(counted.amounts) == {"a": [0, 1, 1], "b": [0, 1, 1], "c": [0, 0, 0]}
    assert require_foreground(counted, ["a"], ["b"], splits=Path("splits.json"), fold=0) == []
    (warning,) = require_foreground(counted, ["a"], ["c"], splits=Path("splits.json"), fold=0)
    assert "has an object" in warning


def test_training_cases_without_objects_are_refused_for_what_they_lack():
    counted = objects_in(fingerprint(a=BOTH, b=BOTH[:1], c=()))
    with pytest.raises(InputError, match="no training case has an object") as error:
        require_foreground(counted, ["c"], ["a"], splits=Path("splits.json"), fold=0)
    assert error.value.expected == "objects of liver, tumour"
    with pytest.raises(InputErrors, match="cannot learn class 'tumour'") as errors:
        require_foreground(counted, ["b", "c"], ["a"], splits=Path("splits.json"), fold=0)
    assert errors.value.problems[0].found == "only among those held out: a"
