import json
import subprocess
import sys

import numpy as np
import pytest

from medseg.errors import InputError
from medseg.labels import LabelScheme
from medseg.metrics import evaluate_pairs, fold_table, json_safe, table

SCHEME = LabelScheme({"liver": 1, "tumour": 2})


def cube(value=1, shift=0):
    volume = np.zeros((8, 8, 8), dtype=np.uint8)
    volume[2:6, 2:6, 2 + shift : 6 + shift] = value
    return volume


def pairs():
    yield "right", cube(), cube(), (1, 1, 1)
    yield "shifted", cube(shift=1), cube(), (1, 1, 2)
    yield "missed", cube(0), cube(), (1, 1, 1)


def test_metrics_follow_from_the_cubes():
    metrics = evaluate_pairs(pairs(), SCHEME)
    liver = metrics["per_class"]["liver"]
    assert metrics["n_cases"] == 3
    assert liver["dice"]["mean"] == pytest.approx((1 + 0.75 + 0) / 3)
    assert liver["hd95"]["mean"] == pytest.approx((0 + 2) / 2)
    assert liver["hd95"]["n_infinite"] == 1
    assert metrics["cases"]["missed"]["liver"] == {
        "dice": 0.0,
        "iou": 0.0,
        "hd95": None,
        "volume_pred_ml": 0.0,
        "volume_ref_ml": 0.064,
    }


def test_class_that_no_case_has_is_skipped_and_counted():
    tumour = evaluate_pairs(pairs(), SCHEME)["per_class"]["tumour"]["dice"]
    assert tumour == {"mean": None, "std": None, "n": 0, "n_skipped": 3, "n_infinite": 0}


def test_brats_rule_counts_it_as_right():
    metrics = evaluate_pairs(pairs(), SCHEME, empty="one")
    assert metrics["per_class"]["tumour"]["dice"]["mean"] == 1.0
    assert metrics["empty"]["policy"] == "one"
    assert "Dice 1" in metrics["empty"]["both"]


def test_content_is_strict_json():
    metrics = evaluate_pairs(pairs(), SCHEME)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert metrics["schema"] == 1


def test_table_has_a_row_per_class_and_the_mean():
    rows = table(json.loads(json.dumps(evaluate_pairs(pairs(), SCHEME))))
    assert rows[1] == ["liver", "0.5833", "0.5333", "1.00", "3", "0"]
    assert rows[2] == ["tumour", "–", "–", "–", "0", "3"]
    assert rows[3][:2] == ["mean", "0.5833"]
    assert {len(row) for row in rows} == {6}


def test_folds_are_summarised_by_themselves():
    folds = {"fold_0": ["right", "missed"], "fold_1": ["shifted"], "fold_2": ["elsewhere"]}
    metrics = evaluate_pairs(pairs(), SCHEME, folds=folds)
    assert list(metrics["folds"]) == ["fold_0", "fold_1"]
    for name, part in metrics["folds"].items():
        own = evaluate_pairs((pair for pair in pairs() if pair[0] in folds[name]), SCHEME)
        assert part == {
            "n_cases": len(folds[name]),
            "cases": folds[name],
            "per_class": own["per_class"],
            "mean": own["mean"],
        }
    assert fold_table(metrics) == [
        ["Dice", "liver", "tumour", "mean", "cases"],
        ["fold_0", "0.5000", "–", "0.5000", "2"],
        ["fold_1", "0.7500", "–", "0.7500", "1"],
        ["together", "0.5833", "–", "0.5833", "3"],
    ]


def test_no_pairs_give_an_empty_table():
    metrics = evaluate_pairs([], SCHEME)
    assert metrics["n_cases"] == 0
    assert table(metrics)[-1][:2] == ["mean", "–"]


def test_pair_that_does_not_fit_is_named():
    with pytest.raises(InputError, match="case 'odd': prediction and reference differ in shape"):
        evaluate_pairs([("odd", cube()[1:], cube(), (1, 1, 1))], SCHEME)


def test_case_that_occurs_twice_is_refused():
    with pytest.raises(InputError, match="twice"):
        evaluate_pairs([*pairs(), *pairs()], SCHEME)


def test_unknown_rule_is_refused():
    with pytest.raises(InputError, match="rule for empty masks"):
        evaluate_pairs(pairs(), SCHEME, empty="zero")


def test_json_safe_replaces_what_json_cannot_hold():
    value = {1: [np.float32(0.5), float("nan"), float("inf")], "b": (np.int64(2), True, "x")}
    assert json_safe(value) == {"1": [0.5, None, None], "b": [2, True, "x"]}


def test_importing_metrics_does_not_import_torch():
    code = "import sys, medseg.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
