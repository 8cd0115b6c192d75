"""The high-resolution network: dilation instead of pooling."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from medseg.errors import InputError
from medseg.networks.blocks.convolution import convolution, norm
from medseg.networks.blocks.preactivated import PreactivatedBlock
from medseg.networks.encoder_decoder import initialise
from medseg.networks.input_check import check_input
from medseg.networks.topology import check_dims


class HighResNet(nn.Module):
    """Residual network that never leaves full resolution and sees far by dilation.

    ``(B, in_channels, *S)`` -> logits ``(B, num_classes, *S)``, any ``S``. A convolution, then
    groups of pre-activated residual blocks, each group with a larger dilation and more channels,
    then a 1x1 convolution to the classes. As published it has 20 layers, 0.81 million parameters in
    3D and a receptive field of 87 voxels; every feature is kept at full resolution, so that it
    takes much memory for its size.

    Li et al., On the compactness, efficiency, and representation of 3D convolutional networks
    (HighRes3DNet), arXiv 1707.01992, its "HC-default". Instance norm stands for its batch norm,
    whose statistics a batch of one or two patches does not give. monai.HighResNet is another
    network: it follows the paper's dropout variant, with 80 channels before the last layer, and
    its logits pass a batch norm and a ReLU.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        num_classes: channels of the logits.
        features: channels per group of blocks, not falling.
        dilations: per group of blocks, in voxels.
        blocks_per_group: residual blocks in each group, of two convolutions each.

    Raises:
        InputError: the arguments do not fit together; in ``forward``: the input does not fit.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        features: Sequence[int] = (16, 32, 64),
        dilations: Sequence[int] = (1, 2, 4),
        blocks_per_group: int = 3,
    ) -> None:
        super().__init__()
        check_dims(spatial_dims)
        _check(features, dilations, blocks_per_group)
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.blocks_per_group = blocks_per_group
        self.divisor = (1,) * spatial_dims
        kernel = (3,) * spatial_dims
        width = features[0]
        self.stem = nn.Sequential(
            convolution(in_channels, width, kernel=kernel, bias=False),
            norm(width, spatial_dims),
            nn.ReLU(),
        )
        self.blocks = nn.Sequential()
        for channels, dilation in zip(features, dilations, strict=True):
            for _ in range(blocks_per_group):
                self.blocks.append(
                    PreactivatedBlock(width, channels, kernel=kernel, dilation=dilation)
                )
                width = channels
        self.head = convolution(width, num_classes, kernel=(1,) * spatial_dims)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits.

        Raises:
            InputError: the shape of ``x`` does not fit; see `check_input`.
        """
        check_input(x, in_channels=self.in_channels, divisor=self.divisor)
        return self.head(self.blocks(self.stem(x)))


def _check(features: Sequence[int], dilations: Sequence[int], blocks_per_group: int) -> None:
    if not features or min(features) < 1 or list(features) != sorted(features):
        raise InputError(
            "features of HighResNet must be positive and must not fall",
            expected="for instance (16, 32, 64)",
            found=repr(tuple(features)),
        )
    if len(dilations) != len(features) or min(dilations) < 1:
        raise InputError(
            "dilations of HighResNet must give one positive number per group of blocks",
            expected=f"{len(features)} numbers, as many as features",
            found=repr(tuple(dilations)),
        )
    if blocks_per_group < 1:
        raise InputError(
            "blocks_per_group must be positive",
            expected="for instance 3",
            found=str(blocks_per_group),
        )
