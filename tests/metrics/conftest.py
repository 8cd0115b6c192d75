from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from medseg.geometry.boxes import Boxes
from medseg.metrics import DetectionCase


@pytest.fixture
def random_cases() -> Callable[..., list[DetectionCase]]:
    """Make cases in which boxes overlap, on whole quarters so that sums are exact."""

    def make(
        seed: int = 0,
        *,
        ndim: int = 2,
        n_cases: int = 12,
        classes: int = 2,
        preds: int = 12,
        steps: int = 1000,
        crowd: float = 0.0,
        spacing: tuple[float, ...] = (),
    ) -> list[DetectionCase]:
        rng = np.random.default_rng(seed)
        cases = []
        for number in range(n_cases):
            n_ref = 0 if number % 4 == 3 else int(rng.integers(1, 7))
            n_pred = 0 if number % 5 == 4 else int(rng.integers(1, preds))
            lower = rng.integers(0, 160, (n_ref, ndim)) / 4
            reference = np.hstack([lower, lower + rng.integers(8, 60, (n_ref, ndim)) / 4])
            labels = rng.integers(classes, size=n_ref)
            lower = rng.integers(0, 160, (n_pred, ndim)) / 4
            boxes = np.hstack([lower, lower + rng.integers(8, 60, (n_pred, ndim)) / 4])
            kinds = rng.integers(classes, size=n_pred)
            if n_ref:
                of = rng.integers(n_ref, size=n_pred)
                near = rng.random(n_pred) < 0.6
                moved = reference[of] + rng.integers(-6, 7, (n_pred, 2 * ndim)) / 4
                moved[:, ndim:] = np.maximum(moved[:, ndim:], moved[:, :ndim] + 0.25)
                boxes[near], kinds[near] = moved[near], labels[of][near]
            scores = np.round(rng.random(n_pred) * steps) / steps
            cases.append(
                DetectionCase(
                    Boxes(boxes, kinds, scores),
                    Boxes(reference, labels),
                    crowd=rng.random(n_ref) < crowd,
                    spacing=spacing,
                )
            )
        return cases

    return make
