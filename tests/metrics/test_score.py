import math
from dataclasses import replace

import numpy as np
import pytest

from medseg.errors import InputError
from medseg.labels import IGNORED, LabelScheme
from medseg.metrics import dice, hausdorff95, score_case, summarise

CLASSES = LabelScheme({"liver": 1, "tumour": 2})
BRATS = LabelScheme(
    {"background": 0, "NCR": 1, "ED": 2, "ET": 4},
    {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)},
)
SPACING = (1.0, 2.0, 5.0)


def test_each_class_is_scored_by_its_mask():
    rng = np.random.default_rng(0)
    pred, ref = rng.integers(0, 3, (2, 6, 7, 8), dtype=np.uint8)
    scores = score_case(pred, ref, CLASSES, SPACING)
    assert list(scores) == ["liver", "tumour"]
    for index, name in enumerate(scores, start=1):
        a, b = pred == index, ref == index
        assert scores[name]["dice"] == dice(a, b)
        assert scores[name]["hd95"] == hausdorff95(a, b, SPACING)
        assert scores[name]["volume_pred_ml"] == pytest.approx(a.sum() * 10 / 1000)
        assert scores[name]["volume_ref_ml"] == pytest.approx(b.sum() * 10 / 1000)


def test_regions_are_scored_by_the_union_of_their_members():
    pred = np.array([[[0, 1, 2, 3]]], dtype=np.uint8)
    ref = np.array([[[0, 2, 2, 3]]], dtype=np.uint8)
    scores = score_case(pred, ref, BRATS, (1, 1, 1))
    assert scores["WT"]["dice"] == 1.0
    assert scores["TC"]["dice"] == 2 / 3
    assert scores["ET"]["dice"] == 1.0


def test_pictures_have_areas():
    picture = np.ones((4, 5), dtype=np.uint8)
    scores = score_case(picture, picture, CLASSES, (0.5, 0.5))
    assert scores["liver"]["area_ref_mm2"] == 5.0


@pytest.mark.parametrize(("policy", "value"), [("skip", math.nan), ("one", 1.0)])
def test_class_that_neither_has_follows_the_policy(policy, value):
    empty = np.zeros((3, 3, 3), dtype=np.uint8)
    scores = score_case(empty, empty, CLASSES, SPACING, empty=policy)["liver"]
    assert scores["dice"] == pytest.approx(value, nan_ok=True)
    assert scores["iou"] == pytest.approx(value, nan_ok=True)
    assert scores["hd95"] == pytest.approx(0.0 if policy == "one" else value, nan_ok=True)


def test_false_positive_gives_zero_and_infinite_distance():
    empty, full = np.zeros((3, 3, 3), dtype=np.uint8), np.ones((3, 3, 3), dtype=np.uint8)
    scores = score_case(full, empty, CLASSES, SPACING, empty="one")["liver"]
    assert scores["dice"] == 0.0
    assert scores["hd95"] == math.inf


@pytest.mark.parametrize(
    ("pred", "message"),
    [
        (np.zeros((3, 3, 2), np.uint8), "differ in shape"),
        (np.full((3, 3, 3), 4, np.uint8), "beyond the label scheme"),
        (np.full((3, 3, 3), -1, np.int16), "beyond the label scheme"),
        (np.zeros((3, 3, 3), np.float32), "whole numbers"),
    ],
)
def test_masks_that_do_not_fit_are_refused(pred, message):
    with pytest.raises(InputError, match=message):
        score_case(pred, np.zeros((3, 3, 3), np.uint8), CLASSES, SPACING)


def test_summary_counts_what_it_leaves_out():
    cases = {
        "a": {"liver": {"dice": 0.8, "hd95": 2.0}, "tumour": {"dice": math.nan, "hd95": math.nan}},
        "b": {"liver": {"dice": 0.6, "hd95": 4.0}, "tumour": {"dice": 0.0, "hd95": math.inf}},
    }
    summary = summarise(cases)
    liver, tumour = summary["per_class"]["liver"], summary["per_class"]["tumour"]
    assert liver["dice"]["mean"] == pytest.approx(0.7)
    assert liver["dice"]["std"] == pytest.approx(np.std([0.8, 0.6], ddof=1))
    assert liver["dice"]["n"] == 2
    assert (tumour["dice"]["mean"], tumour["dice"]["n"], tumour["dice"]["n_skipped"]) == (0, 1, 1)
    assert tumour["hd95"]["n_infinite"] == 1
    assert math.isnan(tumour["hd95"]["mean"])
    assert summary["mean"] == pytest.approx({"dice": 0.35, "hd95": 3.0})


def test_summary_of_nothing_is_empty():
    assert summarise({}) == {"per_class": {}, "mean": {}}


@pytest.mark.parametrize("scheme", [CLASSES, BRATS])
def test_ignored_voxels_are_background_in_both(scheme):
    rng = np.random.default_rng(0)
    pred, ref = rng.integers(0, 3, (2, 6, 7, 8), dtype=np.uint8)
    partly = ref.copy()
    partly[2:4] = IGNORED
    found = score_case(pred, partly, replace(scheme, ignore=99), SPACING)
    pred[2:4] = ref[2:4] = 0
    assert found == score_case(pred, ref, scheme, SPACING)


def test_what_is_predicted_at_ignored_voxels_costs_nothing():
    scheme = replace(CLASSES, ignore=99)
    ref = np.array([[[1, 1, IGNORED, IGNORED]]], dtype=np.uint8)
    pred = np.array([[[1, 1, 1, 2]]], dtype=np.uint8)
    scores = score_case(pred, ref, scheme, (1, 1, 1))
    assert scores["liver"]["dice"] == 1.0 and scores["liver"]["hd95"] == 0.0
    assert math.isnan(scores["tumour"]["dice"])
