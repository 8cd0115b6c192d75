"""Which steps of postprocessing masks gain by, found on cases that no network was trained on."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from medseg.inference.postprocess.masks import box_of
from medseg.inference.postprocess.steps import MaskStep, Postprocessor
from medseg.inference.postprocess.targets import FOREGROUND
from medseg.labels import IGNORED, LabelScheme, is_foreground
from medseg.metrics.confusion import Confusion
from medseg.metrics.overlap import Empty, dice_of

LEAST_GAIN = 1e-4
"""Less than this, the last digit that tables show, is no improvement of a class."""

FRACTIONS = (1 / 3000, 1 / 1000, 1 / 300, 1 / 100, 1 / 30, 1 / 10)
"""Sizes that are tried, as parts of the median volume that a class has in the references."""

Dice = Mapping[str, float]
"""Mean Dice over the cases, by class or region; NaN where no case has one."""


class Trial(NamedTuple):
    """A step that was tried, after those that were kept before it.

    Attributes:
        step: what was tried.
        before: Dice without it.
        after: Dice with it.
        kept: whether it stays.
    """

    step: MaskStep
    before: Dice
    after: Dice
    kept: bool


def choose(
    cases: Iterable[tuple[np.ndarray, np.ndarray, Sequence[float]]],
    scheme: LabelScheme,
    *,
    empty: Empty = "skip",
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> list[Trial]:
    """Try steps one after the other, and keep those by which a class gains and none loses.

    First the largest component of the whole foreground, then for each class or region its largest
    component, a smallest size and its holes, each on top of what was kept so far. nnU-Net chooses
    like this among largest components (F. Isensee et al., Nature Methods 18, 2021). What was chosen
    on some cases looks a little better on them than it is.

    Args:
        cases: held-out masks, references (both label indices ``(*S)``) and spacings in mm; read
            once, and kept compressed within the box of their foreground.
        scheme: what the indices mean.
        empty: what a class counts that neither mask has, see `medseg.metrics.score_case`.
        advance: told how many of the rounds are done.

    Returns:
        What was tried, in order; the steps to take are those that were kept.
    """
    held_out = [_HeldOut(pred, ref, spacing, scheme) for pred, ref, spacing in cases]
    rounds = list(_rounds(scheme, held_out))
    trials: list[Trial] = []
    for done, candidates in enumerate(rounds):
        advance(done, len(rounds))
        trials += _try(held_out, candidates, scheme, empty)
    advance(len(rounds), len(rounds))
    return trials


def mean(dice: Dice) -> float:
    """Average over the classes that have a value."""
    finite = [value for value in dice.values() if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else math.nan


def differences(before: Dice, after: Dice) -> dict[str, float]:
    """Say by how much each class changes that has a value before and after."""
    both = {name: after[name] - value for name, value in before.items()}
    return {name: value for name, value in both.items() if math.isfinite(value)}


def improves(before: Dice, after: Dice) -> bool:
    """Say whether a class gains and none loses; then the mean gains, too."""
    changes = differences(before, after).values()
    return bool(changes) and max(changes) >= LEAST_GAIN and min(changes) > -1e-9


def _rounds(scheme: LabelScheme, cases: Sequence[_HeldOut]) -> Iterator[list[MaskStep]]:
    """Yield what is tried at a time; of one round the best is kept at most."""
    outputs = list(zip(scheme.foreground, scheme.region_indices(), strict=True))
    everything = set(range(1, len(scheme.values)))
    if FOREGROUND not in scheme.foreground and all(set(m) != everything for _, m in outputs):
        yield [MaskStep("largest_component", FOREGROUND)]
    for name, members in outputs:
        yield [MaskStep("largest_component", name)]
        sizes = _sizes(cases, members)
        if sizes:
            yield [MaskStep("remove_small", name, size) for size in sizes]
        yield [MaskStep("fill_holes", name)]


def _sizes(cases: Sequence[_HeldOut], members: Sequence[int]) -> list[float]:
    """Choose sizes to try, in mm³, by what the references hold; a voxel or less drops nothing."""
    volumes = [case.table[:, members].sum() * case.voxel for case in cases]
    there = [volume for volume in volumes if volume]
    if not there:
        return []
    usual, voxel = float(np.median(there)), min(case.voxel for case in cases)
    rounded = [float(f"{usual * part:.2g}") for part in FRACTIONS]
    return [size for size in dict.fromkeys(rounded) if size > voxel]


def _try(
    cases: Sequence[_HeldOut], candidates: Sequence[MaskStep], scheme: LabelScheme, empty: Empty
) -> list[Trial]:
    """Try each of some steps, and take the best that improves, if any."""
    before = _dice([case.table for case in cases], scheme, empty)
    outcomes: list[tuple[MaskStep, Dice]] = []
    for step in candidates:
        clean = Postprocessor([step], scheme)
        tables = [case.table_after(clean) for case in cases]
        outcomes.append((step, _dice(tables, scheme, empty)))
    better = [(step, after) for step, after in outcomes if improves(before, after)]
    best = max(better, key=lambda one: sum(differences(before, one[1]).values()), default=None)
    if best is not None:
        for case in cases:
            case.take(Postprocessor([best[0]], scheme))
    return [
        Trial(step, before, after, best is not None and step == best[0]) for step, after in outcomes
    ]


def _dice(tables: Sequence[np.ndarray], scheme: LabelScheme, empty: Empty) -> dict[str, float]:
    """Average Dice over cases, each by a table of voxels ``(predicted index, true index)``."""
    found = {}
    for name, members in zip(scheme.foreground, scheme.region_indices(), strict=True):
        inside = list(members)
        values = []
        for table in tables:
            tp = int(table[np.ix_(inside, inside)].sum())
            pred, ref = int(table[inside].sum()), int(table[:, inside].sum())
            values.append(dice_of(Confusion(tp, pred - tp, ref - tp, 0), empty=empty))
        finite = [value for value in values if math.isfinite(value)]
        found[name] = math.fsum(finite) / len(finite) if finite else math.nan
    return found


class _HeldOut:
    """A held-out case: its masks, compressed a hundredfold and cut to where there is anything."""

    def __init__(
        self, pred: np.ndarray, ref: np.ndarray, spacing: Sequence[float], scheme: LabelScheme
    ) -> None:
        box = box_of(is_foreground(ref) | (pred != 0)) or (slice(0, 0),) * pred.ndim
        pred, ref = pred[box], ref[box]
        self.spacing, self.voxel = tuple(spacing), math.prod(spacing)
        self._count, self._shape = len(scheme.values), pred.shape
        self._pred, self._ref = _packed(pred), _packed(ref)
        self.table = self._table(pred)

    def table_after(self, clean: Postprocessor) -> np.ndarray:
        """Count voxels by what would be predicted and what is true."""
        pred = self._unpacked(self._pred)
        after = clean(pred, self.spacing)
        return self.table if after is pred else self._table(after)

    def take(self, clean: Postprocessor) -> None:
        """Postprocess the prediction for good."""
        pred = clean(self._unpacked(self._pred), self.spacing)
        self._pred, self.table = _packed(pred), self._table(pred)

    def _table(self, pred: np.ndarray) -> np.ndarray:
        ref = self._unpacked(self._ref)
        known = ref != IGNORED
        both = pred[known].astype(np.intp) * self._count + ref[known]
        counts = np.bincount(both, minlength=self._count**2)
        return counts.reshape(self._count, self._count)

    def _unpacked(self, packed: bytes) -> np.ndarray:
        return np.frombuffer(zlib.decompress(packed), np.uint8).reshape(self._shape)


def _packed(index: np.ndarray) -> bytes:
    return zlib.compress(np.ascontiguousarray(index, np.uint8).tobytes(), 1)
