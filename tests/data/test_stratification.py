from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.data.stratification import deal


def alone(count: int) -> dict[str, list[str]]:
    return {f"c{i:02d}": [f"c{i:02d}"] for i in range(count)}


def emptiest_first(groups, folds, order):
    """What folds were before labels counted."""
    val = [[] for _ in range(folds)]
    for name in order:
        min(val, key=len).extend(groups[name])
    return val


sizes = st.lists(st.integers(1, 6), min_size=3, max_size=20)


@settings(max_examples=100, deadline=None)
@given(sizes, st.integers(2, 3), st.sets(st.sampled_from("abc")))
def test_cases_with_the_same_labels_are_dealt_as_if_there_were_none(sizes, folds, labels):
    groups = {f"g{i}": [f"g{i}_{k}" for k in range(n)] for i, n in enumerate(sizes)}
    order = sorted(groups, key=lambda name: -len(groups[name]))
    alike = {case: labels for members in groups.values() for case in members}
    assert deal(groups, folds, order=order, labels=alike) == emptiest_first(groups, folds, order)


@settings(max_examples=100, deadline=None)
@given(sizes, st.integers(2, 3), st.randoms(use_true_random=False))
def test_every_case_is_in_one_fold_and_groups_stay_whole(sizes, folds, random):
    groups = {f"g{i}": [f"g{i}_{k}" for k in range(n)] for i, n in enumerate(sizes)}
    labels = {c: random.sample("abcd", random.randint(0, 4)) for g in groups.values() for c in g}
    dealt = deal(groups, folds, order=list(groups), labels=labels)
    assert sorted(c for fold in dealt for c in fold) == sorted(labels)
    assert all(dealt)
    for members in groups.values():
        assert sum(set(members) <= set(fold) for fold in dealt) == 1


@settings(max_examples=100, deadline=None)
@given(st.integers(5, 40), st.integers(2, 5), st.randoms(use_true_random=False))
def test_folds_of_single_cases_differ_by_one_at_most(count, folds, random):
    groups = alone(count)
    labels = {name: random.sample("abcd", random.randint(0, 4)) for name in groups}
    lengths = [len(fold) for fold in deal(groups, folds, order=list(groups), labels=labels)]
    assert max(lengths) - min(lengths) <= 1


def test_a_rare_label_is_in_every_fold():
    rng = np.random.default_rng(0)
    groups = alone(40)
    labels = {name: ["organ"] for name in groups}
    for name in rng.permutation(list(groups))[:5]:
        labels[name].append("lesion")
    for fold in deal(groups, 5, order=list(groups), labels=labels):
        assert Counter(label for c in fold for label in labels[c]) == {"organ": 8, "lesion": 1}


def test_several_labels_are_spread_evenly_at_once():
    rng = np.random.default_rng(1)
    groups = alone(60)
    labels = {
        name: [x for x, p in (("a", 0.7), ("b", 0.3), ("c", 0.1)) if rng.random() < p]
        for name in groups
    }
    dealt = deal(groups, 5, order=list(groups), labels=labels)
    random = emptiest_first(groups, 5, list(groups))

    def spread(folds):
        counts = [Counter(label for case in fold for label in labels[case]) for fold in folds]
        return sum(np.ptp([count[label] for count in counts]) for label in "abc")

    assert spread(dealt) <= 3 < spread(random)


def test_patients_are_counted_by_their_cases():
    groups = {"p1": ["1a", "1b", "1c"], "p2": ["2a"], "p3": ["3a"], "p4": ["4a"]}
    labels = {"1a": ["lesion"], "1b": ["lesion"], "2a": ["lesion"], "3a": ["lesion"]}
    dealt = deal(groups, 2, order=list(groups), labels=labels)
    assert sorted(map(sorted, dealt)) == [["1a", "1b", "1c"], ["2a", "3a", "4a"]]


@pytest.mark.parametrize("labels", [None, {}])
def test_without_labels_the_given_order_decides(labels):
    groups = alone(7)
    dealt = deal(groups, 3, order=list(groups), labels=labels)
    assert dealt == emptiest_first(groups, 3, list(groups))
