"""The U-Net with a residual encoder."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from medseg.networks.blocks.convolution import ConvNormAct
from medseg.networks.blocks.residual import ResidualStack
from medseg.networks.encoder_decoder import EncoderDecoder
from medseg.networks.topology import PerStage, Topology, counts_per_stage, published_blocks


class ResidualUNet(EncoderDecoder):
    """U-Net whose encoder is a residual network and whose decoder is light.

    ``(B, in_channels, *S)`` -> logits ``(B, num_classes, *S)``; in training with deep supervision a
    list, finest first, one per decoder stage. A stem convolution precedes the first stage.

    Isensee et al., nnU-Net Revisited, arXiv 2404.09556 (its "ResEnc" presets); residual learning:
    He et al., arXiv 1512.03385.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        num_classes: channels of the logits.
        features: channels per stage, finest first; the last is the bottleneck's.
        strides: per stage, one number or one per axis, the first all ones; ``None``: 1, then 2s.
        kernels: per stage, one odd number or one per axis; ``None``: 3s.
        blocks_per_stage: residual blocks per encoder stage, one number or one per stage; ``None``:
            as published, 1, 3, 4, then 6s.
        decoder_convs_per_stage: convolutions per decoder stage, which are one less.
        conv_bias: whether convolutions that a norm follows have a bias (nnU-Net's do).
        deep_supervision: give logits at every resolution of the decoder while training.

    Raises:
        InputError: the arguments do not fit together; in ``forward``: the input does not fit.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        features: Sequence[int] = (32, 64, 128, 256),
        strides: PerStage | None = None,
        kernels: PerStage | None = None,
        blocks_per_stage: Sequence[int] | int | None = None,
        decoder_convs_per_stage: Sequence[int] | int = 1,
        conv_bias: bool = True,
        deep_supervision: bool = False,
    ) -> None:
        topology = Topology.read(
            spatial_dims=spatial_dims, features=features, strides=strides, kernels=kernels
        )
        super().__init__(
            topology,
            in_channels=in_channels,
            num_classes=num_classes,
            stages=residual_encoder(
                topology, in_channels, blocks_per_stage=blocks_per_stage, bias=conv_bias
            ),
            decoder_convs=counts_per_stage(
                "decoder_convs_per_stage", decoder_convs_per_stage, topology.stages - 1
            ),
            bias=conv_bias,
            deep_supervision=deep_supervision,
        )


def residual_encoder(
    topology: Topology,
    in_channels: int,
    *,
    blocks_per_stage: Sequence[int] | int | None,
    bias: bool,
) -> list[nn.Module]:
    """Make the stages of an encoder of residual blocks, a stem before the first.

    Raises:
        InputError: ``blocks_per_stage`` has another number of stages.
    """
    if blocks_per_stage is None:
        blocks_per_stage = published_blocks(topology.stages)
    counts = counts_per_stage("blocks_per_stage", blocks_per_stage, topology.stages)
    channels = (topology.features[0], *topology.features)
    stages: list[nn.Module] = [
        ResidualStack(
            channels[i],
            channels[i + 1],
            count=counts[i],
            kernel=topology.kernels[i],
            stride=topology.strides[i],
            bias=bias,
        )
        for i in range(topology.stages)
    ]
    stem = ConvNormAct(in_channels, channels[0], kernel=topology.kernels[0], bias=bias)
    stages[0] = nn.Sequential(stem, stages[0])
    return stages
