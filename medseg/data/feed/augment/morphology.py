"""Binary morphology with balls, on any device: a ball's reach costs nothing.

SciPy asks every voxel of the ball, of which one of radius 8 has 2,109; as a product of Fourier
transforms all radii take the same time (`torch.fft`). The results are SciPy's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor


def ball(radius: int, ndim: int) -> Tensor:
    """Give the voxels within ``radius`` of the middle, bool ``(2 r + 1, …)``; in 2D a disc."""
    line = torch.arange(-radius, radius + 1)
    squares = torch.zeros((1,) * ndim, dtype=line.dtype)
    for axis in range(ndim):
        squares = squares + line.square().view(*((-1 if a == axis else 1) for a in range(ndim)))
    return squares <= radius**2


def dilate(mask: Tensor, radius: int) -> Tensor:
    """Give every voxel of bool ``(*S)`` that has one of the mask within ``radius`` voxels.

    Beyond the border there is nothing.
    """
    kernel = ball(radius, mask.ndim).to(mask.device)
    size = [n + 2 * radius for n in mask.shape]
    # float32: counts reach 2,109 and are exact to a hundredth, and a half parts none from one.
    spectrum = torch.fft.rfftn(mask.float(), s=size) * torch.fft.rfftn(kernel.float(), s=size)
    counts = torch.fft.irfftn(spectrum, s=size)
    return counts[tuple(slice(radius, radius + n) for n in mask.shape)] > 0.5


def erode(mask: Tensor, radius: int) -> Tensor:
    """Give every voxel whose whole ball lies in the mask, which goes on beyond the border."""
    return ~dilate(~mask, radius)


def opening(mask: Tensor, radius: int) -> Tensor:
    """Erode, then dilate: what is thinner than the ball goes."""
    return dilate(erode(mask, radius), radius)


def closing(mask: Tensor, radius: int) -> Tensor:
    """Dilate, then erode: gaps that are narrower than the ball are filled."""
    return erode(dilate(mask, radius), radius)


OPERATORS: Mapping[str, Callable[[Tensor, int], Tensor]] = {
    "dilation": dilate,
    "erosion": erode,
    "opening": opening,
    "closing": closing,
}
