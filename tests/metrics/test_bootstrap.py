from __future__ import annotations

import math

import numpy as np
import pytest

from medseg.metrics import IouHit, bootstrap_interval
from medseg.metrics.average_precision import weighted_precision
from medseg.metrics.bootstrap import case_weights
from medseg.metrics.tally import tally


def mean_of(values: np.ndarray):
    return lambda weights: weights @ values / weights.sum(axis=1)


def test_every_draw_has_as_many_cases():
    weights = case_weights(30, resamples=500)
    assert weights.shape == (500, 30)
    assert (weights.sum(axis=1) == 30).all()
    assert weights.mean() == pytest.approx(1)
    # Binomial of 30 draws with one chance in 30.
    assert weights.var(axis=0).mean() == pytest.approx(29 / 30, rel=0.05)


def test_the_interval_of_a_mean_is_the_normal_one():
    values = np.random.default_rng(0).normal(3, 2, 400)
    found = bootstrap_interval(mean_of(values), 400, resamples=4000)
    half = 1.96 * values.std() / math.sqrt(400)
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_the_interval_is_that_of_scipy():
    from scipy.stats import bootstrap

    values = np.random.default_rng(1).exponential(size=60)
    theirs = bootstrap(
        (values,), np.mean, n_resamples=9999, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    found = bootstrap_interval(mean_of(values), 60, resamples=9999)
    assert (found.low, found.high) == pytest.approx(tuple(theirs), abs=0.01)


def test_the_seed_decides():
    values = np.random.default_rng(0).random(20)
    first, again, other = (
        bootstrap_interval(mean_of(values), 20, resamples=200, seed=seed) for seed in (1, 1, 2)
    )
    assert first.low == again.low
    assert first.low != other.low


def test_one_case_says_nothing():
    found = bootstrap_interval(mean_of(np.array([0.7])), 1)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert math.isnan(bootstrap_interval(lambda w: np.full(len(w), np.nan), 0).low)


def test_draws_without_a_value_are_left_out_and_counted():
    def ratio(weights):
        with np.errstate(invalid="ignore"):
            return np.where(weights[:, 0] > 0, 1.0, np.nan)[:, None].repeat(2, axis=1)

    found = bootstrap_interval(ratio, 10, resamples=1000)
    assert found.low.tolist() == found.high.tolist() == [1, 1]
    assert found.undefined[0] / 1000 == pytest.approx(0.9**10, abs=0.05)


def test_the_score_lies_in_its_interval(random_cases):
    cases = random_cases(0, n_cases=60)
    counted = tally(cases, IouHit(0.3))
    found = bootstrap_interval(lambda w: weighted_precision(counted, w), 60, resamples=300)
    score = weighted_precision(counted, counted.once())[0]
    assert found.low < score < found.high
