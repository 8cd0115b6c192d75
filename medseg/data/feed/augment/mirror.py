"""Mirroring and quarter turns: voxels change places, none is interpolated."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medseg.data.feed.augment.draws import check_axes, probability
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
        return _moved(image, label, params, lambda one, axes: one.flip([a + 1 for a in axes]))


class QuarterTurn(BatchTransform[tuple[int, int, int]]):
    """Turn image and label by a multiple of 90°, without interpolation.

    Only planes whose two axes have as many voxels and the same spacing are turned; a patch without
    any stays as it is.

    Args:
        p: probability that a sample is turned, by 90°, 180° or 270°.
        axes: the spatial axes that may change places; ``None``: all.
        spacing: mm per axis; ``None``: equal.
    """

    def __init__(
        self,
        *,
        p: float = 0.5,
        axes: Sequence[int] | None = None,
        spacing: Sequence[float] | None = None,
    ) -> None:
        self.p = probability("p", p)
        self.axes = None if axes is None else tuple(sorted({int(a) for a in axes}))
        self.spacing = None if spacing is None else tuple(float(s) for s in spacing)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> tuple[int, int, int] | None:
        """Draw two axes and the number of quarter turns."""
        axes, spacing = check_axes(
            "quarter_turn", len(shape) - 1, axes=self.axes, spacing=self.spacing
        )
        planes = [
            (a, b)
            for a, b in combinations(axes, 2)
            if shape[a + 1] == shape[b + 1] and math.isclose(spacing[a], spacing[b], rel_tol=0.01)
        ]
        if rng.random() >= self.p or not planes:
            return None
        return *planes[int(rng.integers(len(planes)))], int(rng.integers(1, 4))

    def apply(
        self, image: Tensor, label: Tensor | None, params: Sequence[tuple[int, int, int] | None]
    ) -> tuple[Tensor, Tensor | None]:
        """Turn each sample in its plane."""
        return _moved(image, label, params, lambda one, p: one.rot90(p[2], (p[0] + 1, p[1] + 1)))


def _moved(
    image: Tensor,
    label: Tensor | None,
    params: Sequence[Any],
    move: Callable[[Tensor, Any], Tensor],
) -> tuple[Tensor, Tensor | None]:
    """Permute the voxels of the samples that have parameters, which is exact for labels, too."""
    if all(p is None for p in params):
        return image, label

    def every(array: Tensor) -> Tensor:
        moved = [one if p is None else move(one, p) for one, p in zip(array, params, strict=True)]
        return moved[0][None] if len(moved) == 1 else torch.stack(moved)

    return every(image), None if label is None else every(label)
