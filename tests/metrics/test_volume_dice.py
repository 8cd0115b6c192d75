import math
from dataclasses import replace

import pytest
import torch

from medseg.errors import InputError
from medseg.labels import IGNORED, LabelScheme
from medseg.metrics import dice
from medseg.metrics.volume_dice import VolumeDice, dice_per_output, voxel_counts

CLASSES = LabelScheme({"anterior": 1, "posterior": 2})
BRATS = LabelScheme(
    {"background": 0, "NCR": 1, "ED": 2, "ET": 4},
    {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)},
)


def random_pair(scheme, shape=(2, 1, 5, 6, 7)):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, len(scheme.values), (2, *shape), generator=generator).unbind(0)


@pytest.mark.parametrize("scheme", [CLASSES, BRATS])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_equals_masks_scored_one_by_one(scheme, dtype):
    preds, target = random_pair(scheme)
    found = dice_per_output(preds.to(dtype), target.to(dtype).squeeze(1), scheme)
    for case in range(2):
        for output, members in enumerate(scheme.region_indices()):
            a, b = (torch.isin(x[case], torch.tensor(members)).numpy() for x in (preds, target))
            assert found[case, output].item() == pytest.approx(dice(a, b), abs=1e-6)


def test_equals_torchmetrics():
    from torchmetrics.functional.segmentation import dice_score

    preds, target = random_pair(CLASSES)
    expected = dice_score(
        preds.squeeze(1),
        target.squeeze(1),
        num_classes=3,
        include_background=False,
        average=None,
        input_format="index",
    )
    torch.testing.assert_close(dice_per_output(preds, target, CLASSES), expected)


def test_counts_by_hand():
    preds = torch.tensor([[[0, 1, 1, 2]]])
    target = torch.tensor([[[1, 1, 0, 2]]])
    counts = voxel_counts(preds, target, CLASSES)
    assert counts.tp.tolist() == [[1, 1]]
    assert counts.pred.tolist() == [[2, 1]]
    assert counts.ref.tolist() == [[2, 1]]


def test_absent_class_is_nan_and_false_positive_zero():
    preds = torch.tensor([[[0, 1]], [[0, 0]]])
    target = torch.zeros(2, 1, 2, dtype=torch.long)
    found = dice_per_output(preds, target, CLASSES)
    assert found[0, 0] == 0
    assert found[1].isnan().all()


def test_accumulator_leaves_undefined_cases_out():
    metric = VolumeDice(CLASSES)
    metric.update(torch.tensor([[[1, 2]]]), torch.tensor([[[1, 1]]]))  # 2/3 and 0
    metric.update(torch.tensor([[[1, 1]]]), torch.tensor([[[1, 1]]]))  # 1 and undefined
    scores = metric.compute()
    assert scores == pytest.approx({"anterior": 5 / 6, "posterior": 0.0, "mean": 5 / 12})
    metric.reset()
    assert all(math.isnan(value) for value in metric.compute().values())


def test_transposed_volume_is_refused():
    with pytest.raises(InputError, match="differ in shape"):
        voxel_counts(torch.zeros(1, 1, 4, 5).long(), torch.zeros(1, 5, 4).long(), CLASSES)


def test_index_beyond_the_scheme_is_refused():
    with pytest.raises(InputError, match="beyond"):
        voxel_counts(torch.full((1, 4, 5), 3), torch.zeros(1, 4, 5).long(), CLASSES)


@pytest.mark.parametrize("scheme", [CLASSES, BRATS])
def test_ignored_voxels_count_as_if_they_were_cut_off(scheme):
    preds, target = random_pair(scheme)
    ignoring = replace(scheme, ignore=99)
    partly = target.clone()
    partly[:, :, 3:] = IGNORED
    found = voxel_counts(preds, partly, ignoring)
    expected = voxel_counts(preds[:, :, :3], target[:, :, :3], scheme)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_case_that_nobody_labelled_has_no_dice():
    scheme = replace(CLASSES, ignore=99)
    target = torch.full((1, 4, 4), IGNORED)
    assert dice_per_output(torch.ones(1, 4, 4, dtype=torch.long), target, scheme).isnan().all()
