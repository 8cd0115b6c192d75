"""Retina U-Net: a RetinaNet that segments as well, where there are masks to learn from."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from medseg.detection.output import DetectionOutput
from medseg.networks.blocks.convolution import ConvNormAct, convolution
from medseg.networks.detection.anchor_heads import AnchorHeads
from medseg.networks.detection.pyramid_network import Encoder, PyramidNetwork
from medseg.networks.encoder_decoder import initialise
from medseg.networks.topology import PerStage


class RetinaUNet(PyramidNetwork):
    """`RetinaNet` whose pyramid goes on to full resolution, where it segments.

    ``(B, in_channels, *S)`` -> `DetectionOutput` with logits ``(B, segmentation_classes, *S)``.
    What the masks teach about every voxel, the boxes learn from, too (Jaeger et al., Retina U-Net,
    ML4H 2020, arXiv 1811.08661; Baumgartner et al., nnDetection, MICCAI 2021).

    Args:
        spatial_dims, in_channels, num_classes, num_anchors, features, strides, kernels, encoder,
            units_per_stage, levels, channels, head_convs, prior, conv_bias: as of `RetinaNet`.
        segmentation_classes: channels of the segmentation, background first; ``None``: the classes
            and the background.

    Raises:
        InputError: the arguments do not fit together; in ``forward``: the input does not fit.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        num_anchors: int,
        segmentation_classes: int | None = None,
        features: Sequence[int] = (32, 64, 128, 256),
        strides: PerStage | None = None,
        kernels: PerStage | None = None,
        encoder: Encoder = "plain",
        units_per_stage: Sequence[int] | int | None = None,
        levels: Sequence[int] | None = None,
        channels: int | None = None,
        head_convs: int = 2,
        prior: float = 0.01,
        conv_bias: bool = True,
    ) -> None:
        super().__init__(
            spatial_dims=spatial_dims,
            in_channels=in_channels,
            num_classes=num_classes,
            features=features,
            strides=strides,
            kernels=kernels,
            encoder=encoder,
            units_per_stage=units_per_stage,
            levels=levels,
            channels=channels,
            conv_bias=conv_bias,
            down_to=0,
        )
        self.num_anchors = num_anchors
        self.heads = AnchorHeads(
            spatial_dims=spatial_dims,
            channels=self.channels,
            num_classes=num_classes,
            num_anchors=num_anchors,
            convs=head_convs,
            kernel=self.head_kernel,
            prior=prior,
        )
        outputs = num_classes + 1 if segmentation_classes is None else segmentation_classes
        width = self.pyramid.widths[0]
        self.segmenter = nn.Sequential(
            ConvNormAct(width, width, kernel=self.finest_kernel, bias=conv_bias),
            convolution(width, outputs, kernel=(1,) * spatial_dims),
        )
        initialise(self.segmenter)

    def forward(self, x: Tensor) -> DetectionOutput:
        """Return logits and deltas per level, finest first, and logits of the segmentation.

        Raises:
            InputError: the shape of ``x`` does not fit; see `check_input`.
        """
        finest, *coarser = self.features_of(x)
        levels = [finest, *coarser] if self.levels[0] == 0 else coarser
        return self.heads(levels)._replace(segmentation=self.segmenter(finest))
