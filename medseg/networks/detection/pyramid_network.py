"""What the detectors share: encoder, pyramid, and the numbers that say where its levels are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from medseg.errors import InputError
from medseg.networks.detection.fpn import FPN
from medseg.networks.encoder_decoder import initialise
from medseg.networks.input_check import check_input
from medseg.networks.pyramid_levels import level_strides, read_levels
from medseg.networks.residual_unet import residual_encoder
from medseg.networks.topology import PerStage, Topology
from medseg.networks.unet import plain_encoder

Encoder = Literal["plain", "residual"]

_CONVS_PER_STAGE = 2


class PyramidNetwork(nn.Module):
    """A detector without its heads; each subclass adds them.

    Attributes:
        strides: voxels from place to place, per level and axis, finest level first.
        divisor: by what each axis of the input must be divisible.
        levels: numbers of the encoder's stages whose resolutions the levels have.
        channels: of each level.
        head_kernel: for heads that all levels share: 3 along axes that any level looks along.
        finest_kernel: of the stage at which the pyramid ends.

    Args:
        spatial_dims, in_channels, num_classes, features, strides, kernels, encoder,
            units_per_stage, levels, channels, conv_bias: as of `RetinaNet`.
        down_to: the stage at which the pyramid ends; ``None``: the finest level. Beyond the levels
            it is as wide as the encoder there, at most.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        features: Sequence[int],
        strides: PerStage | None,
        kernels: PerStage | None,
        encoder: Encoder,
        units_per_stage: Sequence[int] | int | None,
        levels: Sequence[int] | None,
        channels: int | None,
        conv_bias: bool,
        down_to: int | None = None,
    ) -> None:
        super().__init__()
        topology = Topology.read(
            spatial_dims=spatial_dims, features=features, strides=strides, kernels=kernels
        )
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.divisor = topology.divisor
        self.levels = read_levels(levels, topology.stages)
        self.strides = level_strides(topology.strides, self.levels)
        self.channels = topology.features[self.levels[0]] if channels is None else channels
        end = self.levels[0] if down_to is None else down_to
        self.finest_kernel = topology.kernels[end]
        self.head_kernel = tuple(
            3 if any(topology.kernels[level][axis] > 1 for level in self.levels) else 1
            for axis in range(spatial_dims)
        )
        self.pyramid = FPN(
            topology,
            _stages(encoder, topology, in_channels, units=units_per_stage, bias=conv_bias),
            widths={
                i: self.channels
                if i >= self.levels[0]
                else min(self.channels, topology.features[i])
                for i in range(end, topology.stages)
            },
            taken=self.levels,
        )
        initialise(self.pyramid)

    def features_of(self, x: Tensor) -> list[Tensor]:
        """Return what the pyramid gives of ``(B, in_channels, *S)``, finest first.

        Raises:
            InputError: the shape of ``x`` does not fit; see `check_input`.
        """
        check_input(x, in_channels=self.in_channels, divisor=self.divisor)
        return self.pyramid(x)


def _stages(
    encoder: str,
    topology: Topology,
    in_channels: int,
    *,
    units: Sequence[int] | int | None,
    bias: bool,
) -> Sequence[nn.Module]:
    if encoder == "plain":
        counts = _CONVS_PER_STAGE if units is None else units
        return plain_encoder(topology, in_channels, convs_per_stage=counts, bias=bias)
    if encoder == "residual":
        return residual_encoder(topology, in_channels, blocks_per_stage=units, bias=bias)
    raise InputError("there is no such encoder", expected="plain or residual", found=repr(encoder))
