"""A first stage that segments too much or too little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from medseg.data.feed.augment.draws import probability
from medseg.data.feed.augment.morphology import OPERATORS
from medseg.data.feed.augment.transform import IntensityTransform
from medseg.errors import InputError


class Change(NamedTuple):
    """What happens to the mask of one class."""

    channel: int
    operator: str
    radius: int


class RandomMorphology(IntensityTransform[list[Change]]):
    """Dilate, erode, open or close masks of classes with a ball.

    What one class gains, the others lose. Probabilities are nnU-Net's (version 2,
    ``ApplyRandomBinaryOperatorTransform``); radii are whole voxels here.

    Args:
        p: probability that a sample is changed.
        p_class: probability of each class of such a sample; they change in random order.
        radius: range of the ball's radius in voxels, both ends included.
    """

    def __init__(
        self, *, p: float = 0.4, p_class: float = 0.5, radius: Sequence[int] = (1, 8)
    ) -> None:
        self.p = probability("p", p)
        self.p_class = probability("p_class", p_class)
        self.radius = tuple(int(r) for r in radius)
        if len(self.radius) != 2 or not 1 <= self.radius[0] <= self.radius[1]:
            raise InputError(
                "radius must be a range of whole voxels",
                expected="[low, high], both at least 1",
                found=repr(radius),
            )

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> list[Change] | None:
        """Draw the classes of masks ``(K, *S)``, their operators and radii."""
        if rng.random() >= self.p:
            return None
        names, (low, high) = list(OPERATORS), self.radius
        chosen = [int(c) for c in rng.permutation(shape[0]) if rng.random() < self.p_class]
        return [
            Change(c, names[int(rng.integers(len(names)))], int(rng.integers(low, high + 1)))
            for c in chosen
        ] or None

    def change(self, image: Tensor, params: list[Change]) -> None:
        """Change masks ``(K, *S)`` of zeros and ones in place."""
        for channel, operator, radius in params:
            before = image[channel] > 0.5
            after = OPERATORS[operator](before, radius)
            image.masked_fill_(after & ~before, 0)
            image[channel] = after.to(image.dtype)
