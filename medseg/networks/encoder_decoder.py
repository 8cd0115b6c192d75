"""What the U-Nets share: the way down, the way up, and the heads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from medseg.networks.blocks.convolution import NEGATIVE_SLOPE, convolution
from medseg.networks.blocks.residual import ResidualBlock
from medseg.networks.blocks.upsampling import UpStage
from medseg.networks.input_check import check_input
from medseg.networks.topology import Topology


class EncoderDecoder(nn.Module):
    """A U-shaped network out of the stages it is given; each subclass says which.

    ``(B, in_channels, *S)`` -> logits ``(B, num_classes, *S)``; ``S`` must be divisible by
    `divisor`. In training with deep supervision: a list of logits, finest first, one per stage of
    the decoder, each at that stage's own resolution.

    Args:
        topology: channels, strides and kernels per stage.
        in_channels: channels of the input.
        num_classes: channels of the logits.
        stages: the encoder, finest first; stage ``i`` ends in ``topology.features[i]`` channels and
            divides the size by ``topology.strides[i]``.
        decoder_convs: convolutions per decoder stage, finest first.
        bias: of the convolutions in the decoder.
        deep_supervision: whether there is a head at each stage of the decoder.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        in_channels: int,
        num_classes: int,
        stages: Iterable[nn.Module],
        decoder_convs: Sequence[int],
        bias: bool,
        deep_supervision: bool,
    ) -> None:
        super().__init__()
        self.spatial_dims = topology.spatial_dims
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.deep_supervision = deep_supervision
        self.divisor = topology.divisor
        self.encoder = nn.ModuleList(stages)
        features = topology.features
        self.decoder = nn.ModuleList(
            UpStage(
                features[i + 1],
                features[i],
                count=decoder_convs[i],
                kernel=topology.kernels[i],
                stride=topology.strides[i + 1],
                bias=bias,
            )
            for i in range(topology.stages - 1)
        )
        self.heads = nn.ModuleList(
            convolution(features[i], num_classes, kernel=(1,) * topology.spatial_dims)
            for i in range(topology.stages - 1 if deep_supervision else 1)
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return logits, or with deep supervision in training a list of them, finest first.

        Raises:
            InputError: the shape of ``x`` does not fit; see `check_input`.
        """
        check_input(x, in_channels=self.in_channels, divisor=self.divisor)
        skips = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        x = skips.pop()
        every_head = self.training and self.deep_supervision
        logits: list[Tensor] = []
        for i in reversed(range(len(self.decoder))):
            x = self.decoder[i](x, self.skip(i, skips.pop(), x))
            if every_head or i == 0:
                logits.append(self.heads[i](x))
        return logits[::-1] if every_head else logits[0]

    def skip(self, stage: int, features: Tensor, coarser: Tensor) -> Tensor:
        """Return what crosses to the decoder: the encoder's features; a subclass may change them.

        Args:
            stage: of the encoder, the finest is 0.
            features: its output.
            coarser: what the decoder has found one stage below; at the bottleneck the encoder.
        """
        return features


def initialise(network: nn.Module) -> None:
    """Set weights as nnU-Net does.

    Kaiming normal for the leaky slope (He et al., arXiv 1502.01852), zero biases, and a zero scale
    at the end of each residual branch, so that the block starts as its shortcut (Goyal et al.,
    arXiv 1706.02677).
    """
    kinds = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    for module in network.modules():
        if isinstance(module, kinds):
            nn.init.kaiming_normal_(module.weight, a=NEGATIVE_SLOPE)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, ResidualBlock):
            nn.init.zeros_(module.norm.weight)
