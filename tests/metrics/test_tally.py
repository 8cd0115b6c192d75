from __future__ import annotations

import numpy as np

from medseg.metrics import CentreHit, IouHit
from medseg.metrics.bootstrap import case_weights
from medseg.metrics.tally import tallies, tally


def test_hits_and_false_positives_are_counted_up_to_each_place(random_cases):
    counted = tally(random_cases(0, classes=1), IouHit(0.3))
    places = np.array([0, 1, 1, 4, 9, len(counted.scores)])
    weights = case_weights(counted.n_cases, resamples=5)
    found, wrong = counted.cumulative(places, weights)
    for b, row in enumerate(weights):
        for k, place in enumerate(places):
            first = slice(0, place)
            times = row[counted.cases[first]]
            assert found[b, k] == times[counted.hits[first]].sum()
            assert wrong[b, k] == times[~counted.hits[first]].sum()


def test_what_counts_neither_way_is_not_in_it(random_cases):
    cases = random_cases(0, classes=1, crowd=0.5)
    counted = tally(cases, IouHit(0.3))
    assert counted.references.sum() == sum(int((~case.ignored).sum()) for case in cases)
    assert len(counted.scores) < sum(len(case.preds) for case in cases)
    assert (np.diff(counted.scores) <= 0).all()


def test_several_rules_are_each_as_if_alone(random_cases):
    cases = random_cases(1)
    rules = [CentreHit(), IouHit(0.1), IouHit(0.5)]
    for rule, together in zip(rules, tallies(cases, rules, label=1), strict=True):
        alone = tally(cases, rule, label=1)
        assert np.array_equal(alone.scores, together.scores)
        assert np.array_equal(alone.hits, together.hits)


def test_no_cases_are_an_empty_list():
    counted = tally([], CentreHit())
    assert (counted.n_cases, len(counted.scores)) == (0, 0)


def test_by_sizes_hits_go_and_false_positives_stay(random_cases):
    counted = tally(random_cases(0, classes=1), CentreHit())
    part = counted.of_objects(0, 8, np.zeros(counted.n_cases))
    assert (~part.hits).sum() == (~counted.hits).sum()
    assert part.hits.sum() == (counted.diameters < 8).sum() < counted.hits.sum()
