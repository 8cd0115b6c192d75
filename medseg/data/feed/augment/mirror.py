"""Mirroring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from medseg.data.feed.augment.draws import probability
from medseg.data.feed.augment.transform import BatchTransform
from medseg.errors import InputError


class Mirror(BatchTransform[tuple[int, ...]]):
    """Reverse image and label along axes drawn one by one.

    Args:
        p: probability of each axis.
        axes: the spatial axes that may be reversed; ``None``: all. Leave out left–right where a
            class knows its side.
    """

    def __init__(self, *, p: float = 0.5, axes: Sequence[int] | None = None) -> None:
        self.p = probability("p", p)
        self.axes = None if axes is None else tuple(sorted({int(a) for a in axes}))

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> tuple[int, ...] | None:
        """Draw the spatial axes to reverse."""
        ndim = len(shape) - 1
        axes = tuple(range(ndim)) if self.axes is None else self.axes
        if axes and not (axes[0] >= 0 and axes[-1] < ndim):
            raise InputError(
                "mirror: axes do not fit the image",
                expected=f"from 0 to {ndim - 1}",
                found=str(self.axes),
            )
        drawn = rng.random(len(axes)) < self.p
        return tuple(a for a, flip in zip(axes, drawn, strict=True) if flip) or None

    def apply(
        self, image: Tensor, label: Tensor | None, params: Sequence[tuple[int, ...] | None]
    ) -> tuple[Tensor, Tensor | None]:
        """Reverse each sample along its axes."""
        if all(p is None for p in params):
            return image, label
        return _flip(image, params), None if label is None else _flip(label, params)


def _flip(array: Tensor, params: Sequence[tuple[int, ...] | None]) -> Tensor:
    return torch.stack(
        [
            one if axes is None else one.flip([axis + 1 for axis in axes])
            for one, axes in zip(array, params, strict=True)
        ]
    )
