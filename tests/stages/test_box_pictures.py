from __future__ import annotations

from medseg.stages.box_pictures import telling_cases


def rows(**counts):
    return {
        case: {"nodule": {"missed": missed, "false": false}}
        for case, (missed, false) in counts.items()
    }


def test_half_are_the_worst_and_the_best_is_among_the_others():
    many = rows(a=(0, 0), b=(3, 0), c=(0, 1), d=(2, 9), e=(0, 2), f=(0, 3), g=(2, 1))
    chosen = telling_cases(many, at_most=4)
    assert chosen[:2] == ["b", "d"]
    assert chosen[2:] == ["f", "a"]


def test_few_cases_are_all_shown_once():
    few = rows(a=(0, 0), b=(1, 0), c=(0, 4))
    assert sorted(telling_cases(few)) == ["a", "b", "c"]
    assert telling_cases({}) == [] and telling_cases(rows(a=(0, 0)), at_most=1) == ["a"]
