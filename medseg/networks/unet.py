"""The plain U-Net in the style of nnU-Net."""

from __future__ import annotations

from collections.abc import Sequence

from medseg.networks.blocks.convolution import ConvStack
from medseg.networks.encoder_decoder import EncoderDecoder
from medseg.networks.topology import PerStage, Topology, counts_per_stage


class UNet(EncoderDecoder):
    """U-Net with convolution, instance norm and leaky ReLU throughout.

    ``(B, in_channels, *S)`` -> logits ``(B, num_classes, *S)``; in training with deep supervision a
    list, finest first, one per decoder stage. Strided convolutions lead down, transposed ones whose
    kernel is their stride lead up.

    Ronneberger et al., U-Net, arXiv 1505.04597; Çiçek et al., 3D U-Net, arXiv 1606.06650; this
    form: Isensee et al., nnU-Net, Nature Methods 2021, doi 10.1038/s41592-020-01008-z.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        num_classes: channels of the logits.
        features: channels per stage, finest first; the last is the bottleneck's.
        strides: per stage, one number or one per axis, the first all ones; ``None``: 1, then 2s.
        kernels: per stage, one odd number or one per axis; ``None``: 3s.
        convs_per_stage: convolutions per encoder stage, one number or one per stage.
        decoder_convs_per_stage: the same for the decoder, which has one stage less.
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
        convs_per_stage: Sequence[int] | int = 2,
        decoder_convs_per_stage: Sequence[int] | int = 2,
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
            stages=plain_encoder(
                topology, in_channels, convs_per_stage=convs_per_stage, bias=conv_bias
            ),
            decoder_convs=counts_per_stage(
                "decoder_convs_per_stage", decoder_convs_per_stage, topology.stages - 1
            ),
            bias=conv_bias,
            deep_supervision=deep_supervision,
        )


def plain_encoder(
    topology: Topology, in_channels: int, *, convs_per_stage: Sequence[int] | int, bias: bool
) -> list[ConvStack]:
    """Make the stages of an encoder of convolutions, the first of each strided.

    Raises:
        InputError: ``convs_per_stage`` has another number of stages.
    """
    counts = counts_per_stage("convs_per_stage", convs_per_stage, topology.stages)
    channels = (in_channels, *topology.features)
    return [
        ConvStack(
            channels[i],
            channels[i + 1],
            count=counts[i],
            kernel=topology.kernels[i],
            stride=topology.strides[i],
            bias=bias,
        )
        for i in range(topology.stages)
    ]
