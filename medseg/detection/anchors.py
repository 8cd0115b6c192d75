"""Anchors: the boxes that a network corrects, a few at every place of every level."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medseg.errors import InputError

_REMEMBERED = 8


def level_anchors(
    shape: Sequence[int],
    sizes: Tensor,
    stride: Sequence[int],
    *,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Return the anchors ``(places·A, 2n)`` of one level, place by place in C order.

    Place ``i`` of an axis is the middle of the voxels that it stands for: ``(i + 1/2)·stride`` in
    voxel edges. So anchors lie the same way when the patch is mirrored.

    Args:
        shape: places per axis.
        sizes: voxels ``(A, n)``.
        stride: voxels from place to place, per axis.
        device: where they are made.
    """
    steps = [
        (torch.arange(count, device=device, dtype=torch.float32) + 0.5) * step
        for count, step in zip(shape, stride, strict=True)
    ]
    centres = torch.stack(torch.meshgrid(*steps, indexing="ij"), dim=-1).view(-1, 1, len(steps))
    half = sizes.to(centres)[None] / 2
    return torch.cat([centres - half, centres + half], dim=2).flatten(0, 1)


class AnchorGenerator:
    """Give the anchors of a patch: ``generator([shape of level 0, …]) -> (M, 2n)``.

    The order is level, place (C order), anchor: that of `output.flattened`. The last few answers
    are remembered, as all patches of a training have one size. Anchors reach out of the patch where
    they like.

    Args:
        sizes: voxels, per level, anchor and axis ``(L, A, n)``.
        strides: voxels, per level and axis ``(L, n)``: a network's ``strides``.

    Raises:
        InputError: the lengths do not fit together, or a size or stride is not positive.
    """

    def __init__(
        self, sizes: Sequence[Sequence[Sequence[float]]], strides: Sequence[Sequence[int]]
    ) -> None:
        self.strides = tuple(tuple(int(n) for n in stride) for stride in strides)
        per_level = {tuple(len(size) for size in level) for level in sizes}
        axes = {len(stride) for stride in self.strides}
        if len(sizes) != len(strides) or len(per_level) != 1 or len(axes) != 1 or () in per_level:
            raise InputError(
                "anchors need as many levels as there are strides, each with as many sizes",
                expected=f"{len(strides)} levels, one number or more per axis in each",
                found=f"sizes {sizes}, strides {strides}",
            )
        if set(next(iter(per_level))) != axes:
            raise InputError(
                "anchors and strides speak of different axes",
                expected=f"{axes.pop()} numbers per anchor",
                found=str(sizes),
            )
        self.sizes = torch.tensor(sizes, dtype=torch.float32)
        if not bool((self.sizes > 0).all()) or min(map(min, self.strides)) < 1:
            raise InputError(
                "sizes of anchors and strides must be positive",
                found=f"sizes {sizes}, strides {strides}",
            )
        self._known: dict[tuple, Tensor] = {}

    @property
    def per_place(self) -> int:
        """Anchors at each place."""
        return self.sizes.shape[1]

    def counts(self, shapes: Sequence[Sequence[int]]) -> tuple[int, ...]:
        """Return the number of anchors of each level."""
        return tuple(int(torch.Size(shape).numel()) * self.per_place for shape in shapes)

    def __call__(
        self, shapes: Sequence[Sequence[int]], *, device: torch.device | str = "cpu"
    ) -> Tensor:
        """Return all anchors ``(M, 2n)`` of levels with ``shapes``; not to be written into.

        Raises:
            InputError: another number of levels.
        """
        if len(shapes) != len(self.strides):
            raise InputError(
                "the network has another number of levels than the anchors",
                expected=f"{len(self.strides)} levels",
                found=f"{len(shapes)}: {list(map(tuple, shapes))}",
                remedy="build the anchors with the network's strides",
            )
        key = (tuple(map(tuple, shapes)), str(device))
        if key not in self._known:
            while len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[key] = torch.cat(
                [
                    level_anchors(shape, sizes, stride, device=device)
                    for shape, sizes, stride in zip(shapes, self.sizes, self.strides, strict=True)
                ]
            )
        return self._known[key]
