"""MedNeXt, the U-Net made of ConvNeXt blocks."""

from __future__ import annotations

from torch import Tensor, nn

from medseg.errors import InputError
from medseg.networks.foreign import showwarning_kept
from medseg.networks.input_check import check_input
from medseg.networks.topology import check_dims

with showwarning_kept():
    from monai.networks.blocks.mednext_block import MedNeXtDownBlock
    from monai.networks.nets.mednext import MedNeXt as MonaiMedNeXt

_HALVINGS = 4
# Per stage, down to the bottleneck and up again: how often a block widens, and how many there are.
_EXPANSIONS = {
    "S": (2, 2, 2, 2, 2, 2, 2, 2, 2),
    "B": (2, 3, 4, 4, 4, 4, 4, 3, 2),
    "M": (2, 3, 4, 4, 4, 4, 4, 3, 2),
    "L": (3, 4, 8, 8, 8, 8, 8, 4, 3),
}
_BLOCKS = {
    "S": (2, 2, 2, 2, 2, 2, 2, 2, 2),
    "B": (2, 2, 2, 2, 2, 2, 2, 2, 2),
    "M": (3, 4, 4, 4, 4, 4, 4, 4, 3),
    "L": (3, 4, 8, 8, 8, 8, 8, 4, 3),
}


class MedNeXt(MonaiMedNeXt):
    """U-Net of depthwise convolutions with large kernels and inverted bottlenecks.

    ``(B, in_channels, *S)`` -> logits ``(B, num_classes, *S)``; ``S`` must be divisible by 16. In
    training with deep supervision a list of five, finest first, down to the bottleneck. A block is
    a depthwise convolution, a norm of each channel, and two 1x1 convolutions that widen and narrow
    with a GELU between them; skips are added, not concatenated.

    Roy et al., MedNeXt, arXiv 2303.09975; ConvNeXt: Liu et al., arXiv 2201.03545. Parameters in 3D,
    in millions, for kernels of 3 and 5: S 5.6 and 6.0, B 10.5 and 11.0, M 17.6 and 18.3, L 61.8 and
    63.0. The network is MONAI's with other blocks on the way down: MONAI widens them like the stage
    they leave, the authors' code like the stage they lead to, which differs in B, M and L. MONAI's
    response normalisation is no part of the paper and stays off.

    Args:
        spatial_dims: 2 or 3; the paper has 3.
        in_channels: channels of the input.
        num_classes: channels of the logits.
        preset: ``S``, ``B``, ``M`` or ``L``.
        kernel_size: of the depthwise convolutions, odd. Published: 3 and 5.
        init_filters: channels of the finest stage; each coarser stage has twice as many. Published:
            32.
        deep_supervision: give logits at every resolution while training, as the paper does.

    Raises:
        InputError: the arguments do not fit together; in ``forward``: the input does not fit.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        preset: str = "S",
        kernel_size: int = 3,
        init_filters: int = 32,
        deep_supervision: bool = False,
    ) -> None:
        check_dims(spatial_dims)
        if preset not in _BLOCKS:
            raise InputError(
                f"MedNeXt has no preset {preset!r}", expected="S, B, M or L", found=repr(preset)
            )
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise InputError(
                "kernel_size of MedNeXt must be odd", expected="3 or 5", found=repr(kernel_size)
            )
        ratios, blocks = _EXPANSIONS[preset], _BLOCKS[preset]
        super().__init__(
            spatial_dims=spatial_dims,
            init_filters=init_filters,
            in_channels=in_channels,
            out_channels=num_classes,
            encoder_expansion_ratio=ratios[:_HALVINGS],
            decoder_expansion_ratio=ratios[_HALVINGS + 1 :],
            bottleneck_expansion_ratio=ratios[_HALVINGS],
            kernel_size=kernel_size,
            deep_supervision=deep_supervision,
            use_residual_connection=True,
            blocks_down=blocks[:_HALVINGS],
            blocks_bottleneck=blocks[_HALVINGS],
            blocks_up=blocks[_HALVINGS + 1 :],
        )
        self.down_blocks = nn.ModuleList(
            MedNeXtDownBlock(
                in_channels=init_filters * 2**stage,
                out_channels=init_filters * 2 ** (stage + 1),
                expansion_ratio=ratios[stage + 1],
                kernel_size=kernel_size,
                use_residual_connection=True,
                dim=f"{spatial_dims}d",
            )
            for stage in range(_HALVINGS)
        )
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.deep_supervision = deep_supervision
        self.divisor = (2**_HALVINGS,) * spatial_dims

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return logits, or with deep supervision in training a list of them, finest first.

        Raises:
            InputError: the shape of ``x`` does not fit; see `check_input`.
        """
        check_input(x, in_channels=self.in_channels, divisor=self.divisor)
        output = super().forward(x)
        return output if isinstance(output, Tensor) else list(output)
