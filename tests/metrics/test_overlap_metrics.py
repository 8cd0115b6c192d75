import math

import numpy as np
import pytest

from medseg.errors import InputError
from medseg.metrics import confusion, dice, iou

RNG = np.random.default_rng(0)
A = RNG.random((6, 7, 8)) > 0.4
B = RNG.random((6, 7, 8)) > 0.6
EMPTY = np.zeros_like(A)


def test_confusion_counts_by_hand():
    counts = confusion(np.array([1, 1, 0, 0, 0]), np.array([1, 0, 1, 0, 0]))
    assert counts == (1, 1, 1, 2)
    assert counts.true_positive_rate == 1 / 2
    assert counts.false_positive_rate == 1 / 3


def test_rates_without_a_denominator_are_nan():
    assert math.isnan(confusion(EMPTY, EMPTY).true_positive_rate)
    assert math.isnan(confusion(A, ~EMPTY).false_positive_rate)


def test_confusion_equals_torchmetrics():
    import torch
    from torchmetrics.functional.classification import binary_stat_scores

    tp, fp, tn, fn, _ = binary_stat_scores(torch.tensor(A), torch.tensor(B)).tolist()
    assert confusion(A, B) == (tp, fp, fn, tn)


def test_dice_and_iou_equal_torchmetrics():
    import torch
    from torchmetrics.functional.classification import binary_f1_score, binary_jaccard_index

    pred, target = torch.tensor(A), torch.tensor(B)
    assert dice(A, B) == pytest.approx(binary_f1_score(pred, target).item(), abs=1e-6)
    assert iou(A, B) == pytest.approx(binary_jaccard_index(pred, target).item(), abs=1e-6)


def test_dice_follows_from_iou():
    assert dice(A, B) == pytest.approx(2 * iou(A, B) / (1 + iou(A, B)))


@pytest.mark.parametrize("metric", [dice, iou])
class TestEmptyMasks:
    def test_both_empty_is_nan_by_default(self, metric):
        assert math.isnan(metric(EMPTY, EMPTY))

    def test_both_empty_is_one_as_in_brats(self, metric):
        assert metric(EMPTY, EMPTY, empty="one") == 1.0

    @pytest.mark.parametrize("empty", ["skip", "one"])
    def test_false_positive_on_empty_reference_is_zero(self, metric, empty):
        assert metric(A, EMPTY, empty=empty) == 0.0

    @pytest.mark.parametrize("empty", ["skip", "one"])
    def test_missed_structure_is_zero(self, metric, empty):
        assert metric(EMPTY, A, empty=empty) == 0.0


def test_identical_masks_score_one():
    assert dice(A, A) == iou(A, A) == 1.0


def test_different_shapes_are_refused():
    with pytest.raises(InputError, match="differ in shape"):
        dice(A, A[1:])
