"""The U-Net with context at several rates in its bottleneck."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from medseg.networks.blocks.context import MultiRateContext
from medseg.networks.encoder_decoder import initialise
from medseg.networks.topology import PerStage
from medseg.networks.unet import UNet


class DilatedUNet(UNet):
    """U-Net whose bottleneck looks at its features with several dilations at once.

    ``(B, in_channels, *S)`` -> logits ``(B, num_classes, *S)``; in training with deep supervision a
    list, finest first, one per decoder stage. `UNet` with `MultiRateContext` behind the coarsest
    stage: the field of view grows without another loss of resolution.

    Yu and Koltun, Multi-Scale Context Aggregation by Dilated Convolutions, arXiv 1511.07122; Chen
    et al., Rethinking Atrous Convolution (ASPP), arXiv 1706.05587; in a medical U-Net: Gu et al.,
    CE-Net, arXiv 1903.02740.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        num_classes: channels of the logits.
        features: channels per stage, finest first; the last is the bottleneck's.
        strides: per stage, one number or one per axis, the first all ones; ``None``: 1, then 2s.
        kernels: per stage, one odd number or one per axis; ``None``: 3s.
        rates: dilations of the parallel branches, in voxels of the bottleneck.
        convs_per_stage: convolutions per encoder stage, one number or one per stage.
        decoder_convs_per_stage: the same for the decoder, which has one stage less.
        conv_bias: whether convolutions that a norm follows have a bias.
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
        rates: Sequence[int] = (1, 2, 4, 8),
        convs_per_stage: Sequence[int] | int = 2,
        decoder_convs_per_stage: Sequence[int] | int = 2,
        conv_bias: bool = True,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__(
            spatial_dims=spatial_dims,
            in_channels=in_channels,
            num_classes=num_classes,
            features=features,
            strides=strides,
            kernels=kernels,
            convs_per_stage=convs_per_stage,
            decoder_convs_per_stage=decoder_convs_per_stage,
            conv_bias=conv_bias,
            deep_supervision=deep_supervision,
        )
        # Always 3 and not the plan's kernel: a kernel of 1 could not be dilated.
        context = MultiRateContext(
            int(features[-1]), kernel=(3,) * spatial_dims, rates=rates, bias=conv_bias
        )
        initialise(context)
        self.encoder[-1] = nn.Sequential(self.encoder[-1], context)
