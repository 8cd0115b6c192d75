"""Deal patients out to folds, each fold with its share of every label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class _Fold:
    cases: list[str] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)


def deal(
    groups: Mapping[str, Sequence[str]],
    folds: int,
    *,
    order: Sequence[str],
    labels: Mapping[str, Collection[str]] | None = None,
) -> list[list[str]]:
    """Part groups of cases into folds by iterative stratification.

    The rarest label goes first: each group that has it goes to the fold with the fewest cases of
    that label, then to the smallest fold; then the rarest label of what is left, and at last the
    groups without any. Unlike the original, folds are kept equally large: without groups their
    sizes differ by one at most, and where groups do not fit, the smallest fold takes them. If all
    cases have the same labels, every group thus goes to the smallest fold, in the given order.

    K. Sechidis, G. Tsoumakas, I. Vlahavas, "On the stratification of multi-label data",
    ECML PKDD 2011.

    Args:
        groups: name -> ids of the cases that stay together.
        folds: number of folds.
        order: the names, in the order in which they are dealt where labels leave it open.
        labels: case id -> the labels that occur in it; a case that is absent has none.

    Returns:
        The case ids of each fold, in the order in which they came to it.
    """
    has = {name: _labels_of(members, labels or {}) for name, members in groups.items()}
    low, rest = divmod(sum(map(len, groups.values())), folds)
    dealt = [_Fold() for _ in range(folds)]
    waiting = list(order)
    while waiting:
        label = _rarest(has[name] for name in waiting)
        turn = [name for name in waiting if label is None or has[name][label]]
        for name in turn:
            fold = _choose(dealt, len(groups[name]), label, low=low, rest=rest)
            fold.cases.extend(groups[name])
            fold.labels.update(has[name])
        gone = set(turn)
        waiting = [name for name in waiting if name not in gone]
    return [fold.cases for fold in dealt]


def _labels_of(members: Sequence[str], labels: Mapping[str, Collection[str]]) -> Counter[str]:
    """Count a group's cases by label."""
    return Counter(label for case in members for label in set(labels.get(case, ())))


def _rarest(waiting: Iterable[Counter[str]]) -> str | None:
    total: Counter[str] = Counter()
    for labels in waiting:
        total.update(labels)
    return min(total, key=lambda label: (total[label], label), default=None)


def _choose(dealt: Sequence[_Fold], size: int, label: str | None, *, low: int, rest: int) -> _Fold:
    """Choose the fold that wants a group of ``size`` cases most, the first of several.

    Args:
        dealt: the folds.
        size: cases in the group.
        label: the label whose turn it is, if any.
        low: cases that every fold shall get.
        rest: how many folds shall get one more.
    """
    most = low + (sum(len(fold.cases) > low for fold in dealt) < rest)
    roomy = [fold for fold in dealt if len(fold.cases) + size <= most]
    if label is None or not roomy:
        return min(dealt, key=lambda fold: len(fold.cases))
    return min(roomy, key=lambda fold: (fold.labels[label], len(fold.cases)))
