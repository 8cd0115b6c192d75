"""CentreNet: objects as points, without anchors."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from medseg.detection.output import DetectionOutput
from medseg.networks.detection.anchor_heads import AnchorHeads
from medseg.networks.detection.pyramid_network import Encoder, PyramidNetwork
from medseg.networks.topology import PerStage


class CentreNet(PyramidNetwork):
    """A map of the objects' centres, and at each centre where exactly and how large the box is.

    ``(B, in_channels, *S)`` -> `DetectionOutput` of one level, the finest of a feature pyramid:
    logits of centres ``(B, K, *S')``, and ``(B, 2n, *S')``, the offset of the centre in its place
    and the size of the box in places (`medseg.detection.centre_targets`). Zhou et al., Objects as
    Points, arXiv 1904.07850, in 2D and 3D and on the U-Nets' encoders. A place holds one object.

    Args:
        spatial_dims, in_channels, num_classes, features, strides, kernels, encoder,
            units_per_stage, channels, head_convs, conv_bias: as of `RetinaNet`.
        level: number of the stage whose resolution the map has; ``None``: the third, a quarter of
            the input's, as in the paper.
        prior: probability of a centre that the network starts with.

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
        encoder: Encoder = "plain",
        units_per_stage: Sequence[int] | int | None = None,
        level: int | None = None,
        channels: int | None = None,
        head_convs: int = 2,
        prior: float = 0.1,
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
            levels=(min(2, len(features) - 1) if level is None else level,),
            channels=channels,
            conv_bias=conv_bias,
        )
        self.num_anchors = 1
        self.heads = AnchorHeads(
            spatial_dims=spatial_dims,
            channels=self.channels,
            num_classes=num_classes,
            num_anchors=1,
            convs=head_convs,
            kernel=self.head_kernel,
            prior=prior,
            delta_scale=1.0,  # sizes in places are no small numbers
        )

    def forward(self, x: Tensor) -> DetectionOutput:
        """Return the map of centres, and offsets and sizes.

        Raises:
            InputError: the shape of ``x`` does not fit; see `check_input`.
        """
        return self.heads(self.features_of(x))
