from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from medseg.metrics import compare_paired, holm


def test_means_and_counts():
    found = compare_paired([0.5, 0.6, 0.7, 0.8], [0.6, 0.6, 0.9, 0.7])
    assert found.n == 4
    assert found.difference == pytest.approx(found.mean_b - found.mean_a) == pytest.approx(0.05)
    assert (found.n_higher, found.n_lower, found.n_equal) == (2, 1, 1)


def test_the_signed_rank_test_counts_all_signs():
    difference = np.array([0.3, -0.1, 0.7, 0.5, 0.9, -0.2, 0.8])
    ranks = np.argsort(np.argsort(np.abs(difference))) + 1
    observed = min(ranks[difference > 0].sum(), ranks[difference < 0].sum())
    sums = [
        sum(r for r, up in zip(ranks, signs, strict=True) if up)
        for signs in itertools.product((True, False), repeat=len(ranks))
    ]
    exact = min(1.0, 2 * np.mean([s <= observed for s in sums]))
    found = compare_paired(np.zeros(7), difference)
    assert found.p_wilcoxon == pytest.approx(exact)


def test_the_sign_test_is_a_coin():
    found = compare_paired([0.0] * 10, [0.1] * 8 + [-0.2] + [0.0])
    tail = sum(math.comb(9, k) for k in (8, 9)) / 2**9
    assert found.p_sign == pytest.approx(2 * tail)


def test_equal_pairs_change_no_p_value():
    a, b = [0.1, 0.2, 0.3, 0.4, 0.55], [0.2, 0.4, 0.6, 0.5, 0.5]
    plain, padded = compare_paired(a, b), compare_paired([*a, 0.9, 0.9], [*b, 0.9, 0.9])
    assert padded.p_wilcoxon == plain.p_wilcoxon
    assert padded.p_sign == plain.p_sign


def test_two_runs_that_are_the_same_do_not_differ():
    found = compare_paired([0.3, 0.7, 0.9], [0.3, 0.7, 0.9])
    assert (found.p_wilcoxon, found.p_sign, found.interval) == (1.0, 1.0, (0.0, 0.0))


def test_the_interval_of_many_normal_differences_is_students():
    from scipy.stats import t

    difference = np.random.default_rng(3).normal(0.02, 0.05, size=200)
    found = compare_paired(np.zeros(200), difference)
    error = difference.std(ddof=1) / np.sqrt(200)
    expected = t.interval(0.95, 199, loc=difference.mean(), scale=error)
    assert found.interval == pytest.approx(expected, abs=0.1 * error)
    assert found.interval == compare_paired(np.zeros(200), difference).interval


def test_one_pair_has_no_interval_and_none_no_mean():
    assert all(map(math.isnan, compare_paired([0.1], [0.2]).interval))
    empty = compare_paired([], [])
    assert empty.n == 0 and math.isnan(empty.difference) and empty.p_wilcoxon == 1.0


def test_what_cannot_be_paired_is_refused():
    with pytest.raises(ValueError, match="one length"):
        compare_paired([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="finite"):
        compare_paired([1.0, math.inf], [1.0, 2.0])


def test_holms_own_kind_of_example():
    # By hand: 0.01 * 4, 0.03 * 2 after 0.015 * 3 = 0.045, then 0.04 * 1 held up by 0.06.
    assert holm([0.03, 0.01, 0.04, 0.015]) == pytest.approx([0.06, 0.04, 0.06, 0.045])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
