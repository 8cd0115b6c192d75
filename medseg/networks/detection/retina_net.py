"""RetinaNet: boxes at all levels of a pyramid in one pass."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from medseg.detection.output import DetectionOutput
from medseg.networks.detection.anchor_heads import AnchorHeads
from medseg.networks.detection.pyramid_network import Encoder, PyramidNetwork
from medseg.networks.topology import PerStage


class RetinaNet(PyramidNetwork):
    """A head for classes and a head for boxes over every level of a feature pyramid.

    ``(B, in_channels, *S)`` -> `DetectionOutput`. Lin et al., Focal Loss for Dense Object
    Detection, arXiv 1708.02002, in 2D and 3D and on the U-Nets' encoders.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        num_classes: classes of objects; there is none for the background.
        num_anchors: anchors at each place of each level.
        features: channels per stage of the encoder, finest first.
        strides: per stage, one number or one per axis, the first all ones; ``None``: 1, then 2s.
            What they come to at each level is the attribute ``strides``.
        kernels: per stage, one odd number or one per axis; ``None``: 3s.
        encoder: ``plain`` convolutions as in `UNet`, or ``residual`` blocks as in `ResidualUNet`.
        units_per_stage: convolutions, or residual blocks, per stage, one number or one per stage;
            ``None``: 2, or as published 1, 3, 4, then 6s.
        levels: numbers of the stages whose resolutions have anchors; ``None``: all from the third.
        channels: of each level of the pyramid; ``None``: as many as the encoder has at the finest
            (128 at the third stage of a U-Net that begins with 32, as in nnDetection).
        head_convs: convolutions in each head before the last; RetinaNet has 4, nnDetection 1.
        prior: probability of a class that the network starts with.
        conv_bias: whether the encoder's convolutions, that a norm follows, have a bias.

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

    def forward(self, x: Tensor) -> DetectionOutput:
        """Return logits and deltas per level, finest first.

        Raises:
            InputError: the shape of ``x`` does not fit; see `check_input`.
        """
        return self.heads(self.features_of(x))
