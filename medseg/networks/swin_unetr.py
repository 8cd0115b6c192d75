"""Swin UNETR, the U-Net with a hierarchical transformer for its encoder."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from medseg.errors import InputError
from medseg.networks.foreign import showwarning_kept
from medseg.networks.input_check import check_input
from medseg.networks.topology import check_dims

with showwarning_kept():
    from monai.networks.nets.swin_unetr import SwinUNETR as MonaiSwinUNETR

_STAGES = 4
_TOTAL_STRIDE = 32  # 2 of the patch embedding, 2 of each of the four mergings


class SwinUNETR(MonaiSwinUNETR):
    """U-Net whose encoder attends within shifted windows.

    ``(B, in_channels, *S)`` -> logits ``(B, num_classes, *S)``; ``S`` must be divisible by 32.
    Tokens are 2 voxels wide; four stages attend within windows and halve the resolution; residual
    convolutions with instance norm bring their outputs to a convolutional decoder.

    Hatamizadeh et al., Swin UNETR, arXiv 2201.01266; windows: Liu et al., Swin Transformer, arXiv
    2103.14030. The network is MONAI's, whose pre-trained weights load into it. 62.2 million
    parameters in 3D, 15.7 million with ``feature_size=24``.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        num_classes: channels of the logits.
        feature_size: channels of the finest stage, a multiple of 12. Published: 48.
        depths: transformer blocks in each of the four stages; every second one shifts its windows.
        num_heads: attention heads in each of the four stages; those of stage ``i`` must divide
            ``feature_size * 2**i``.
        window_size: tokens per axis of a window; a smaller image has smaller windows.
        residual_stages: put a residual convolution before each stage (He et al., SwinUNETR-V2,
            MICCAI 2023, doi 10.1007/978-3-031-43901-8_40).
        checkpointing: compute the blocks again in the backward pass: less memory, more time.

    Raises:
        InputError: the arguments do not fit together; in ``forward``: the input does not fit.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        feature_size: int = 48,
        depths: Sequence[int] = (2, 2, 2, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        window_size: int = 7,
        residual_stages: bool = False,
        checkpointing: bool = False,
    ) -> None:
        check_dims(spatial_dims)
        _check(feature_size, depths, num_heads)
        super().__init__(
            in_channels=in_channels,
            out_channels=num_classes,
            depths=tuple(depths),
            num_heads=tuple(num_heads),
            window_size=window_size,
            feature_size=feature_size,
            use_checkpoint=checkpointing,
            spatial_dims=spatial_dims,
            use_v2=residual_stages,
        )
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.divisor = (_TOTAL_STRIDE,) * spatial_dims

    def forward(self, x: Tensor) -> Tensor:
        """Return logits.

        Raises:
            InputError: the shape of ``x`` does not fit; see `check_input`.
        """
        check_input(x, in_channels=self.in_channels, divisor=self.divisor)
        return super().forward(x)


def _check(feature_size: int, depths: Sequence[int], num_heads: Sequence[int]) -> None:
    if feature_size < 12 or feature_size % 12:
        raise InputError(
            "feature_size of Swin UNETR must be divisible by 12",
            expected="12, 24, 36, 48 …",
            found=repr(feature_size),
            remedy=f"for instance feature_size: {max(12, round(feature_size / 12) * 12)}",
        )
    for name, value in (("depths", depths), ("num_heads", num_heads)):
        if len(value) != _STAGES or min(value) < 1:
            raise InputError(
                f"{name} of Swin UNETR must give one positive number for each of its four stages",
                expected="for instance (2, 2, 2, 2) blocks and (3, 6, 12, 24) heads",
                found=repr(value),
            )
    channels = [feature_size * 2**stage for stage in range(_STAGES)]
    if any(n % heads for n, heads in zip(channels, num_heads, strict=True)):
        raise InputError(
            "num_heads of Swin UNETR must divide the channels of their stages",
            expected=f"divisors of {channels}",
            found=repr(tuple(num_heads)),
        )
