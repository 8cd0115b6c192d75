"""Run a network over an image that is larger than its patch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from medseg.networks.input_context import context_of, with_context, without_context
from medseg.networks.outputs import as_heads

Network = Callable[[Tensor], Any]


@dataclass(frozen=True)
class SlidingWindow:
    """Average a network's logits over overlapping windows, weighted by a Gaussian.

    The windows, weights and padding are those of `monai.inferers.sliding_window_inference`, and a
    test holds one against the other. MONAI's is not called: the two loops are equally fast
    (measured), but its import adds four seconds to every process, more than a small volume takes
    to predict, and the loop is a screen long.

    Attributes:
        patch_size: voxels per axis of what the network gives logits for; a network that reads
            around it (`medseg.networks.input_context`) is handed windows larger by its context.
        overlap: the fraction of a window that its neighbour shares, in [0, 1).
        mode: ``gaussian`` weights a window by a Gaussian of standard deviation size / 8 about its
            centre, at least 1e-3; ``constant`` weights all of it alike.
        batch_size: windows per forward pass.
        mirror_axes: spatial axes to flip; logits are averaged over every combination of flips.
    """

    patch_size: Sequence[int]
    overlap: float = 0.5
    mode: Literal["gaussian", "constant"] = "gaussian"
    batch_size: int = 1
    mirror_axes: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap must lie in [0, 1), not {self.overlap}")
        if self.mode not in ("gaussian", "constant"):
            raise ValueError(f"mode must be 'gaussian' or 'constant', not {self.mode!r}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {self.batch_size}")
        object.__setattr__(self, "patch_size", tuple(int(n) for n in self.patch_size))
        object.__setattr__(self, "mirror_axes", tuple(sorted(set(self.mirror_axes or ()))))
        if any(not 0 <= axis < len(self.patch_size) for axis in self.mirror_axes or ()):
            raise ValueError(f"mirror_axes must lie in 0...{len(self.patch_size) - 1}")

    def __call__(
        self,
        network: Network,
        image: Tensor,
        *,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Return logits ``(B, K, *S)`` in float32 for an image ``(B, C, *S)``.

        Axes shorter than the patch are padded with zeros on both sides and cropped back, and so is
        the image's border where the network reads beyond it. The logits are gathered where
        ``image`` lies.

        Args:
            network: maps ``(N, C, *patch_size + 2 * context)`` to ``(N, K, *patch_size)``; of
                several heads the first is taken.
            image: the image or a batch of equally large ones.
            device: where the windows are run, if not where ``image`` lies.

        Raises:
            ValueError: the image has not one axis per entry of ``patch_size``.
        """
        patch, size = tuple(self.patch_size), tuple(image.shape[2:])
        if len(size) != len(patch):
            raise ValueError(f"image {tuple(image.shape)} does not fit a {len(patch)}D patch")
        device = torch.device(device) if device is not None else image.device
        padded, inner = pad_to_patch(image, patch)
        starts = window_starts(tuple(padded.shape[2:]), patch, self.overlap)
        context = context_of(network, spatial_dims=len(patch))
        padded = with_context(padded, context)
        if len(starts) == 1:
            parts = [
                self._forward(network, part.to(device), context).to(image.device)
                for part in padded.split(self.batch_size)
            ]
            logits = torch.cat(parts) if len(parts) > 1 else parts[0]
        else:
            logits = self._stitch(network, padded, starts, device, context)
        return logits[(slice(None), slice(None), *inner)]

    def _stitch(
        self,
        network: Network,
        image: Tensor,
        starts: list[tuple[int, ...]],
        device: torch.device,
        context: tuple[int, ...],
    ) -> Tensor:
        patch = tuple(self.patch_size)
        read = tuple(n + 2 * around for n, around in zip(patch, context, strict=True))
        weight = importance(patch, self.mode).to(device)
        here = weight.to(image.device)
        # Of the image with the context around it a window begins where its logits do in the image.
        size = without_context(image, context).shape[2:]
        total = torch.zeros(size, device=image.device)
        for start in starts:
            total[box_of(start, patch)] += here
        logits: Tensor | None = None
        jobs = list(product(range(image.shape[0]), starts))
        for first in range(0, len(jobs), self.batch_size):
            chunk = jobs[first : first + self.batch_size]
            batch = torch.stack([image[b][box_of(start, read)] for b, start in chunk]).to(device)
            weighted = (self._forward(network, batch, context) * weight).to(image.device)
            if logits is None:
                shape = (image.shape[0], weighted.shape[1], *size)
                logits = torch.zeros(shape, device=image.device)
            for (b, start), piece in zip(chunk, weighted, strict=True):
                logits[b][box_of(start, patch)] += piece
        assert logits is not None
        return logits.div_(total)

    def _forward(self, network: Network, batch: Tensor, context: tuple[int, ...]) -> Tensor:
        flips = [
            [axis + 2 for axis in chosen]
            for count in range(len(self.mirror_axes or ()) + 1)
            for chosen in combinations(self.mirror_axes or (), count)
        ]
        logits = self._run(network, batch)
        for axes in flips[1:]:
            logits = logits + self._run(network, batch.flip(axes)).flip(axes)
        if logits.shape[2:] != without_context(batch, context).shape[2:]:
            around = f" less a context of {context}" if any(context) else ""
            raise ValueError(
                f"the network turned {tuple(batch.shape)} into {tuple(logits.shape)}; "
                f"logits must have the shape of the image{around}"
            )
        return logits / len(flips)

    def _run(self, network: Network, batch: Tensor) -> Tensor:
        return as_heads(network(batch), spatial_dims=len(self.patch_size))[0].float()


def window_starts(
    size: Sequence[int], patch: Sequence[int], overlap: float
) -> list[tuple[int, ...]]:
    """Give the first voxel of every window, the last one on each axis flush with the image's end.

    Args:
        size: voxels per axis, none below ``patch``.
        patch: voxels per axis of a window.
        overlap: fraction in [0, 1); the step is ``int((1 - overlap) * patch)``, at least 1.
    """
    per_axis = []
    for n, p in zip(size, patch, strict=True):
        step = max(1, int(p * (1 - overlap)))
        count = -(-(n - p) // step) + 1
        per_axis.append([min(i * step, n - p) for i in range(count)])
    return list(product(*per_axis))


def box_of(start: Sequence[int], size: Sequence[int]) -> Any:
    """Give the index of the last axes of an array that picks out a window."""
    return (..., *(slice(a, a + n) for a, n in zip(start, size, strict=True)))


def importance(patch: tuple[int, ...], mode: str) -> Tensor:
    """Return a window's weights, float32 of shape ``patch`` (on the CPU)."""
    weight = torch.ones(())
    if mode == "gaussian":
        for n in patch:
            distance = torch.arange(n, dtype=torch.float32) - (n - 1) / 2
            weight = weight[..., None] * torch.exp(-0.5 * (distance / (n / 8)) ** 2)
        # Far corners would round to nothing, and a voxel that only they cover to 0 / 0.
        return weight.clamp_(min=max(float(weight.min()), 1e-3))
    return weight.expand(patch)


def pad_to_patch(image: Tensor, patch: Sequence[int]) -> tuple[Tensor, tuple[slice, ...]]:
    """Pad ``(B, C, *S)`` with zeros to at least a patch; also where the image lies in it."""
    size = image.shape[2:]
    missing = [max(p - n, 0) for n, p in zip(size, patch, strict=True)]
    inner = tuple(slice(m // 2, m // 2 + n) for n, m in zip(size, missing, strict=True))
    if any(missing):
        image = F.pad(image, [k for m in reversed(missing) for k in (m // 2, m - m // 2)])
    return image, inner
