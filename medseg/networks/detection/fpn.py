"""The feature pyramid: every level knows what the coarser ones have seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from torch import Tensor, nn

from medseg.networks.blocks.convolution import convolution
from medseg.networks.topology import Topology

_TRANSPOSED: dict[int, Callable[..., nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class FPN(nn.Module):
    """An encoder and a way back up, on which features are taken at several resolutions.

    ``(B, in_channels, *S)`` -> ``[(B, widths[level], *S / stride of the level), …]``, finest first.
    From the coarsest stage on, features are enlarged and added to those of the encoder, brought to
    the same width by a 1x1 convolution; what is taken passes one more convolution (Lin et al.,
    Feature Pyramid Networks, CVPR 2017). Enlarging is learnt, with a transposed convolution whose
    kernel is its stride, as in nnDetection: strides may differ from axis to axis, and widths from
    level to level.

    Args:
        topology: channels, strides and kernels per stage.
        stages: the encoder, finest first; stage ``i`` ends in ``topology.features[i]`` channels and
            divides the size by ``topology.strides[i]``.
        widths: number of the stage -> channels, for every stage from the finest taken to the last.
        taken: numbers of the stages whose level is returned, finest first. Where the way back up
            leads on beyond them, its end is returned, too, as it is: who takes it convolves it.
    """

    def __init__(
        self,
        topology: Topology,
        stages: Iterable[nn.Module],
        *,
        widths: Mapping[int, int],
        taken: Sequence[int],
    ) -> None:
        super().__init__()
        self.widths = dict(widths)
        self.taken = tuple(taken)
        self.encoder = nn.ModuleList(stages)
        point = (1,) * topology.spatial_dims
        numbers = range(min(widths), topology.stages)
        self.first = numbers[0]
        self.laterals = nn.ModuleList(
            convolution(topology.features[i], widths[i], kernel=point) for i in numbers
        )
        self.enlarge = nn.ModuleList(
            _TRANSPOSED[topology.spatial_dims](
                widths[coarse],
                widths[fine],
                topology.strides[coarse],
                stride=topology.strides[coarse],
                bias=False,
            )
            for fine, coarse in pairwise(numbers)
        )
        self.smooth = nn.ModuleList(
            convolution(widths[i], widths[i], kernel=topology.kernels[i]) for i in taken
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the levels taken, finest first; before them the finest of all, if it is not."""
        features = []
        for stage in self.encoder:
            x = stage(x)
            features.append(x)
        levels = [
            lateral(feature)
            for lateral, feature in zip(self.laterals, features[self.first :], strict=True)
        ]
        for i in reversed(range(len(self.enlarge))):
            levels[i] = levels[i] + self.enlarge[i](levels[i + 1])
        taken = [
            smooth(levels[number - self.first])
            for smooth, number in zip(self.smooth, self.taken, strict=True)
        ]
        return taken if self.first in self.taken else [levels[0], *taken]
