"""2.5D: a volume is segmented slice by slice, and each slice seen together with its neighbours."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from medseg.networks.input_context import context_of


class NeighbouringSlices(nn.Module):
    """Gives a network the ``neighbours`` slices on either side of each slice as channels.

    A network of volumes that never looks along ``axis`` (its kernels are 1 there) is a 2D network;
    with ``neighbours = 1`` it decides on a slice from three. Beyond the volume slices are zero.

    Args:
        network: maps ``(B, (2 * neighbours + 1) * C, *S)`` to logits ``(B, K, *S)``; of several
            image channels those of the first slice come first.
        axis: along which slices are stacked, 0 to 2.
        neighbours: slices on either side, at least 1.

    Attributes:
        input_context: the input is longer than the logits by so many voxels on each side; see
            `medseg.networks.input_context`.
    """

    def __init__(self, network: nn.Module, *, axis: int, neighbours: int) -> None:
        super().__init__()
        if axis not in range(3) or neighbours < 1:
            raise ValueError(f"axis {axis} is not in 0 … 2, or neighbours {neighbours} below 1")
        self.network = network
        self.axis, self.neighbours = axis, neighbours
        own = context_of(network, spatial_dims=3)
        self.input_context = tuple(n + neighbours * (i == axis) for i, n in enumerate(own))

    def forward(self, x: Tensor) -> Any:
        """Map ``(B, C, *S + 2 * input_context)`` to what ``network`` makes of ``(B, …, *S)``."""
        return self.network(slices_as_channels(x, axis=self.axis, neighbours=self.neighbours))


def slices_as_channels(x: Tensor, *, axis: int, neighbours: int) -> Tensor:
    """Turn ``(B, C, I, J, K)`` into ``(B, (2N + 1) * C, …)``, shorter by 2N along ``axis``.

    Channel ``m * C + c`` of slice ``k`` is channel ``c`` of slice ``k + m`` of ``x``.
    """
    windows = x.unfold(axis + 2, 2 * neighbours + 1, 1)  # (B, C, *S, 2N + 1)
    return windows.movedim(-1, 1).flatten(1, 2).contiguous()
