"""SegResNet, the asymmetric residual encoder-decoder."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from medseg.errors import InputError
from medseg.networks.foreign import showwarning_kept
from medseg.networks.input_check import check_input
from medseg.networks.topology import check_dims, counts_per_stage

with showwarning_kept():
    from monai.networks.nets.segresnet import SegResNet as MonaiSegResNet

_GROUPS = 8


class SegResNet(MonaiSegResNet):
    """Residual network with a heavy encoder and a light decoder, normalised by groups.

    ``(B, in_channels, *S)`` -> logits ``(B, num_classes, *S)``; ``S`` must be divisible by 2 to the
    number of stages less one. Pre-activated residual blocks (He et al., arXiv 1603.05027) with
    group norm (Wu and He, arXiv 1803.08494), strided convolutions down; 1x1 convolutions and linear
    interpolation up, where the encoder's features are added.

    Myronenko, 3D MRI brain tumor segmentation using autoencoder regularization, arXiv 1810.11654,
    without its autoencoder branch. The network is MONAI's, whose weights load into it; beyond the
    paper it normalises and activates once more before the last convolution. 18.8 million
    parameters in 3D; with 16 filters, as MONAI's tutorials have it, 4.7 million; with 8, 1.2.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        num_classes: channels of the logits.
        init_filters: channels of the finest stage, a multiple of 8; each coarser stage has twice as
            many. Published: 32.
        blocks_down: residual blocks per stage of the encoder, finest first, two stages or more.
        blocks_up: the same for the decoder, coarsest first, one stage less; ``None``: 1 each.
        dropout: probability that a channel of the first convolution is left out; the paper has 0.2.

    Raises:
        InputError: the arguments do not fit together; in ``forward``: the input does not fit.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        init_filters: int = 32,
        blocks_down: Sequence[int] = (1, 2, 2, 4),
        blocks_up: Sequence[int] | None = None,
        dropout: float = 0.0,
    ) -> None:
        check_dims(spatial_dims)
        if init_filters < 1 or init_filters % _GROUPS:
            raise InputError(
                f"init_filters of SegResNet must be a multiple of {_GROUPS}, its groups of a norm",
                expected="8, 16, 24, 32 …",
                found=repr(init_filters),
            )
        stages = len(blocks_down)
        if stages < 2:
            raise InputError(
                "SegResNet needs two stages or more",
                expected="blocks_down such as (1, 2, 2, 4)",
                found=repr(blocks_down),
            )
        down = counts_per_stage("blocks_down", blocks_down, stages)
        up = counts_per_stage("blocks_up", 1 if blocks_up is None else blocks_up, stages - 1)
        super().__init__(
            spatial_dims=spatial_dims,
            init_filters=init_filters,
            in_channels=in_channels,
            out_channels=num_classes,
            dropout_prob=dropout or None,
            norm=("GROUP", {"num_groups": _GROUPS}),
            blocks_down=down,
            blocks_up=up,
        )
        self.num_classes = num_classes
        self.divisor = (2 ** (stages - 1),) * spatial_dims

    def forward(self, x: Tensor) -> Tensor:
        """Return logits.

        Raises:
            InputError: the shape of ``x`` does not fit; see `check_input`.
        """
        # Groups of channels are normalised together, so one voxel is no mean of its own.
        check_input(x, in_channels=self.in_channels, divisor=self.divisor, lone_voxel=True)
        return super().forward(x)
