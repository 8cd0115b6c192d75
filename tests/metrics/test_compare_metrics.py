from __future__ import annotations

import json

import numpy as np
import pytest

from medseg.errors import InputError
from medseg.labels import LabelScheme
from medseg.metrics import compare_metrics, compare_paired, evaluate_pairs
from medseg.metrics.compare import comparison_table

SCHEME = LabelScheme({"liver": 1, "tumour": 2})


def reference(seed):
    volume = np.zeros((8, 8, 8), dtype=np.uint8)
    volume[1:6, 1:6, 1 : 5 + seed % 3] = 1
    if seed % 2:
        volume[2:4, 2:4, 2:4] = 2
    return volume


def run(shift, cases=range(6), *, scheme=SCHEME, empty="skip", seed=0):
    """Score masks that are moved by ``shift[i]`` voxels."""
    pairs = [
        (
            f"case_{i}",
            np.roll(reference(i + seed), shift[i], axis=0),
            reference(i + seed),
            (1, 1, 1),
        )
        for i in cases
    ]
    metrics = evaluate_pairs(pairs, scheme, empty=empty)
    return json.loads(json.dumps(metrics))


A, B = run([2, 1, 2, 1, 2, 1]), run([0, 1, 1, 0, 1, 2])


def test_classes_are_compared_over_the_cases_that_have_them():
    found = compare_metrics(A, B)
    assert found["n_common"] == 6
    tumour = found["per_class"]["tumour"]
    assert (tumour["n"], tumour["n_skipped"]) == (3, 3)
    dice = [[m["cases"][f"case_{i}"]["tumour"]["dice"] for i in (1, 3, 5)] for m in (A, B)]
    by_hand = compare_paired(*dice)
    assert tumour["difference"] == pytest.approx(by_hand.difference)
    assert tumour["p_wilcoxon"] == by_hand.p_wilcoxon


def test_overall_is_each_cases_mean_over_its_classes():
    means = [
        [
            np.mean([s["dice"] for s in case.values() if s["dice"] is not None])
            for case in m["cases"].values()
        ]
        for m in (A, B)
    ]
    overall = compare_metrics(A, B)["overall"]
    assert overall["mean_a"] == pytest.approx(np.mean(means[0]))
    assert overall["difference"] == pytest.approx(np.mean(means[1]) - np.mean(means[0]))
    assert "p_holm" not in overall


def test_p_values_of_two_classes_are_corrected():
    rows = compare_metrics(A, B)["per_class"].values()
    smaller, larger = sorted(row["p_wilcoxon"] for row in rows)
    corrected = sorted(row["p_holm"] for row in rows)
    assert corrected == pytest.approx([min(1, 2 * smaller), min(1, max(2 * smaller, larger))])


def test_swapping_the_runs_turns_the_differences_around():
    there, back = compare_metrics(A, B)["overall"], compare_metrics(B, A)["overall"]
    assert there["difference"] == pytest.approx(-back["difference"])
    assert there["p_wilcoxon"] == back["p_wilcoxon"]
    assert there["n_higher"] == back["n_lower"]


def test_infinite_distances_are_skipped_and_counted():
    missed = json.loads(json.dumps(A))
    missed["cases"]["case_0"]["liver"]["hd95"] = None
    liver = compare_metrics(missed, B, metric="hd95")["per_class"]["liver"]
    assert (liver["n"], liver["n_skipped"]) == (5, 1)


def test_cases_and_classes_of_one_run_alone_are_left_out_and_named():
    other = LabelScheme({"liver": 1, "cyst": 2})
    found = compare_metrics(A, run([1] * 6, range(4), scheme=other))
    assert found["only_a"] == {"cases": ["case_4", "case_5"], "classes": ["tumour"]}
    assert found["only_b"] == {"cases": [], "classes": ["cyst"]}
    assert found["n_common"] == 4 and list(found["per_class"]) == ["liver"]


def test_content_is_strict_json_and_fills_a_table():
    found = compare_metrics(A, B)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    rows = comparison_table(found)
    assert [row[0] for row in rows] == ["class", "liver", "tumour", "overall"]
    assert {len(row) for row in rows} == {11}


def test_runs_without_a_common_case_are_refused():
    with pytest.raises(InputError, match="no cases in common") as error:
        compare_metrics(run([1] * 6, range(3)), run([1] * 6, range(3, 6)))
    assert "case_3" in error.value.found


def test_runs_without_a_common_class_are_refused():
    with pytest.raises(InputError, match="no classes in common"):
        compare_metrics(A, run([1] * 6, scheme=LabelScheme({"a": 1, "b": 2})))


def test_runs_that_count_empty_masks_differently_are_refused():
    with pytest.raises(InputError, match="empty masks by different rules"):
        compare_metrics(A, run([1] * 6, empty="one"))


def test_cases_of_one_name_with_other_references_are_refused():
    with pytest.raises(InputError, match="different references") as error:
        compare_metrics(A, run([1] * 6, seed=1))
    assert "case_0" in error.value.found


def test_a_metric_that_is_none_is_refused():
    with pytest.raises(InputError, match="no such metric"):
        compare_metrics(A, B, metric="accuracy")
