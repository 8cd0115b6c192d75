from __future__ import annotations

import pytest
import torch

from medseg.detection.hard_negatives import sample


def an_image(positives, negatives, ignored):
    generator = torch.Generator().manual_seed(0)
    matched = torch.tensor([0] * positives + [-1] * negatives + [-2] * ignored)
    matched = matched[torch.randperm(len(matched), generator=generator)]
    return torch.randn(len(matched), generator=generator), matched


@pytest.mark.parametrize(
    ("positives", "share", "expected"),
    [(0, 1 / 3, (0, 2)), (4, 1 / 3, (4, 8)), (50, 1 / 3, (10, 20)), (50, 0.5, (16, 16))],
)
def test_each_positive_has_its_share_of_negatives(positives, share, expected):
    scores, matched = an_image(positives, 500, 30)
    chosen = sample(scores, matched, positives=share)
    assert tuple(int(mask.sum()) for mask in chosen) == expected
    assert (matched[chosen[0]] >= 0).all()
    assert (matched[chosen[1]] == -1).all()


def test_negatives_come_from_the_hardest():
    scores, matched = an_image(3, 500, 30)
    hardest = scores[matched == -1].sort(descending=True).values[6 * 5 - 1]
    drawn = set()
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        _, negative = sample(scores, matched, pool=5, generator=generator)
        assert (scores[negative] >= hardest).all()
        drawn |= set(torch.nonzero(negative)[:, 0].tolist())
    assert len(drawn) == 30, "all of the pool are drawn, some time"


def test_there_are_never_more_than_there_are():
    scores, matched = an_image(2, 3, 30)
    positive, negative = sample(scores, matched, at_least=16)
    assert (int(positive.sum()), int(negative.sum())) == (2, 3)
    positive, negative = sample(scores[:0], matched[:0])
    assert len(positive) == len(negative) == 0


@pytest.mark.parametrize("positives", [0, 3, 60])
def test_monai_draws_as_many_from_the_same_pool(positives):
    theirs = pytest.importorskip("monai.apps.detection.utils.hard_negative_sampler")
    scores, matched = an_image(positives, 400, 0)
    sampler = theirs.HardNegativeSampler(64, 0.3, min_neg=16, pool_size=1)
    expected = sampler.select_samples_per_img(matched + 1, scores)
    ours = sample(scores, matched, per_image=64, positives=0.3, pool=1, at_least=16)
    assert int(ours[0].sum()) == int(expected[0].sum())
    assert torch.equal(ours[1], expected[1].bool()), "a pool as large as the draw leaves no choice"
