"""Which boxes are worth keeping, found on cases that no network was trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from medseg.errors import InputError
from medseg.inference.detection.keeping import KeepRule
from medseg.inference.detection.operating import Operate, Operating, operating_points
from medseg.metrics.average_precision import MEDICAL_IOU, precision_over_iou
from medseg.metrics.detection_case import DetectionCase
from medseg.metrics.froc import LUNA16_FPS, froc_of
from medseg.metrics.hits import CentreHit, HitRule
from medseg.metrics.tally import LIMIT, tally

LEAST_GAIN = 1e-3
"""A step that brings less is left out: with other cases it might bring nothing."""

IOUS = (0.5, 0.4, 0.3, 0.2, 0.1)
"""Overlaps that are tried for suppression."""

FRACTIONS = (0.4, 0.6, 0.8, 1.0, 1.2)
"""Sizes that are tried, as parts of the 5th percentile of the sizes of a class's objects."""

Criterion = Literal["map", "cpm"]
Cases = Sequence[DetectionCase]


class NothingToChooseBy(InputError):
    """No held-out case has an object."""


class Trial(NamedTuple):
    """A value that was tried, on top of what was kept before it.

    Attributes:
        step: the attribute of `KeepRule`.
        of: the class; empty where the step is for all.
        value: what was tried; ``None``: of the scores none is better than all boxes.
        measure: what it is judged by: ``mAP``, ``CPM`` or ``F1``.
        before, after: the measure without and with it, of the class, or the mean over classes.
        kept: whether it stays.
    """

    step: str
    of: str
    value: float | None
    measure: str
    before: float
    after: float
    kept: bool


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why.

    Attributes:
        rule: what is kept from now on.
        trials: what was tried, in order.
        operating: class -> what the boxes that count as found are worth, under the rule.
    """

    rule: KeepRule
    trials: tuple[Trial, ...]
    operating: Mapping[str, Operating]

    @property
    def kept(self) -> tuple[Trial, ...]:
        """The steps that are taken."""
        return tuple(trial for trial in self.trials if trial.kept)


def choose(
    cases: Cases,
    classes: Sequence[str],
    *,
    criterion: Criterion = "map",
    operate: Operate = "f1",
    hit: HitRule | None = None,
    iou: Sequence[float] = MEDICAL_IOU,
    fps: Sequence[float] = LUNA16_FPS,
    limit: int | None = LIMIT,
) -> Choice:
    """Try values one step after the other, and keep of each step the best if it gains.

    First the IoU above which a box beside a surer one goes, then for each class a smallest size:
    these by ``criterion``, which looks at all scores, each on top of what was kept so far. Last,
    for each class, the score from which a box counts as found. No score betters average precision
    or the free-response curve, which are drawn over all of them: so it is ``operate`` that says
    where on the curve to work. nnDetection sweeps like this (M. Baumgartner et al., MICCAI 2021).
    What was chosen on some cases looks a little better on them than it is.

    Args:
        cases: held-out cases, with all boxes that the networks found down to a low score.
        classes: names in the order of the boxes' classes. One without objects is given no size and
            no score.
        criterion: ``map``: average precision, mean over ``iou`` and the classes; ``cpm``: LUNA16's
            mean sensitivity over ``fps``, by ``hit``.
        operate: ``f1``: where F1 is best; a number: where most is found with so many false
            positives per case at most. See `operating_points`.
        hit: what counts as found for ``operate`` and ``cpm``; default `CentreHit`.
        iou: thresholds of average precision.
        fps: false positives per case at which ``cpm`` reads the curve.
        limit: predictions of a case and class that are looked at.

    Raises:
        NothingToChooseBy: no case has an object.
        InputError: ``operate`` is negative.
    """
    _require_operate(operate)
    hit = hit or CentreHit()
    judge = _judge(criterion, hit, iou=iou, fps=fps, limit=limit)
    labels = _labels(cases, classes)
    rule = KeepRule()
    trials: list[Trial] = []
    for step, label, values in _rounds(cases, labels):
        of, judged = ("", labels) if label is None else (classes[label], [label])
        tried = {
            value: _cleaned(cases, _with(KeepRule(), step, of, value), classes) for value in values
        }
        before = judge(cases, judged)
        after = {value: judge(some, judged) for value, some in tried.items()}
        best = _best(before, after)
        name = "mAP" if criterion == "map" else "CPM"
        trials += [Trial(step, of, v, name, before, after[v], v == best) for v in values]
        if best is not None:
            rule, cases = _with(rule, step, of, best), tried[best]
    operating = {}
    for label in labels:
        of = classes[label]
        at, without = operating_points(tally(cases, hit, label=label, limit=limit), operate)
        operating[of] = at
        kept = at.score is not None
        trials.append(Trial("score", of, at.score, "F1", without.f1, at.f1, kept))
        rule = _with(rule, "score", of, at.score) if at.score is not None else rule
    return Choice(rule, tuple(trials), operating)


def _rounds(
    cases: Cases, labels: Sequence[int]
) -> Iterator[tuple[str, int | None, Sequence[float]]]:
    """Yield step, class and the values that are tried; of a round the best is kept at most."""
    yield "nms", None, IOUS
    for label in labels:
        yield "min_size", label, _sizes(cases, label)


def _sizes(cases: Cases, label: int) -> list[float]:
    """Choose sizes to try, in mm, by what the references have; the smallest first."""
    parts = [case.of_class(label) for case in cases]
    sizes = np.concatenate([part.reference_diameters[~part.ignored] for part in parts])
    small = float(np.percentile(sizes, 5))
    rounded = [float(f"{small * fraction:.2g}") for fraction in FRACTIONS]
    return [size for size in dict.fromkeys(rounded) if size > 0]


def _judge(
    criterion: Criterion,
    hit: HitRule,
    *,
    iou: Sequence[float],
    fps: Sequence[float],
    limit: int | None,
) -> Callable[[Cases, Sequence[int]], float]:
    """Make what scores cases by their boxes of some classes."""

    def of_class(cases: Cases, label: int) -> float:
        if criterion == "cpm":
            return froc_of(tally(cases, hit, label=label, limit=limit), fps=fps).cpm
        return precision_over_iou(cases, label=label, iou=iou, limit=limit)

    def judge(cases: Cases, labels: Sequence[int]) -> float:
        return math.fsum(of_class(cases, label) for label in labels) / len(labels)

    return judge


def _best(before: float, after: Mapping[float, float]) -> float | None:
    """Return the value that gains most; of equal ones the first, ``None`` where none gains."""
    # Rounded, so that the last digits of a sum do not choose.
    best = max(after, key=lambda value: round(after[value], 9), default=None)
    return best if best is not None and after[best] - before >= LEAST_GAIN else None


def _cleaned(cases: Cases, rule: KeepRule, classes: Sequence[str]) -> Cases:
    return [replace(case, preds=rule.clean(case.preds, classes, case.spacing)) for case in cases]


def _with(rule: KeepRule, step: str, of: str, value: float) -> KeepRule:
    added = {**getattr(rule, step), of: value} if of else value
    return KeepRule.from_dict({**rule.to_dict(), step: added})


def _labels(cases: Cases, classes: Sequence[str]) -> list[int]:
    """Return the classes that have objects."""
    there = {int(k) for case in cases for k in case.reference.classes[~case.ignored]}
    labels = [label for label in range(len(classes)) if label in there]
    if not labels:
        raise NothingToChooseBy(
            "nothing can be chosen: no held-out case has an object",
            expected=f"objects of {', '.join(classes)}",
            found=f"{len(cases)} cases without",
        )
    return labels


def _require_operate(operate: Operate) -> None:
    wrong = operate != "f1" if isinstance(operate, str) else not 0 <= operate < math.inf
    if wrong:
        raise InputError(
            "this is no point to work at",
            expected="f1, or false positives per case",
            found=str(operate),
        )
