"""The gate on a skip: coarser features say where its finer ones matter."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medseg.networks.blocks.convolution import convolution

_LINEAR = {2: "bilinear", 3: "trilinear"}


class AttentionGate(nn.Module):
    """Weigh every voxel of a skip by additive attention.

    The skip ``(B, channels, *S * stride)`` and the gating signal ``(B, gate_channels, *S)`` -> the
    skip times `coefficients`, ``(B, channels, *S * stride)``.

    Oktay et al., Attention U-Net, arXiv 1804.03999, equations 1 and 2. The skip comes to the grid
    of the gating signal by a convolution whose kernel is its stride, and the two meet in
    ``channels`` channels, as in the authors' code (github.com/ozan-oktay/Attention-Gated-Networks);
    the 1x1 convolution and norm which that puts behind the gate, but not the paper, are left out.

    Args:
        channels: of the skip.
        gate_channels: of the gating signal.
        stride: per axis, from the skip's grid to that of the gating signal; decides 2D or 3D.
    """

    def __init__(self, channels: int, gate_channels: int, *, stride: Sequence[int]) -> None:
        super().__init__()
        one = (1,) * len(stride)
        self.of_skip = convolution(
            channels, channels, kernel=stride, stride=stride, bias=False, padded=False
        )
        self.of_gate = convolution(gate_channels, channels, kernel=one)
        self.score = convolution(channels, 1, kernel=one)

    def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
        """Return the weighed skip."""
        return skip * self.coefficients(skip, gate)

    def coefficients(self, skip: Tensor, gate: Tensor) -> Tensor:
        """Return the weights in (0, 1), ``(B, 1, *S * stride)``: where the network looks."""
        met = F.relu(self.of_skip(skip) + self.of_gate(gate))
        coarse = torch.sigmoid(self.score(met))
        return F.interpolate(coarse, size=skip.shape[2:], mode=_LINEAR[skip.ndim - 2])
