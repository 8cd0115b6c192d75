"""UNETR, the U-Net with a vision transformer for its encoder."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from medseg.errors import InputError
from medseg.networks.foreign import showwarning_kept
from medseg.networks.input_check import check_input
from medseg.networks.topology import check_dims

with showwarning_kept():
    from monai.networks.nets.unetr import UNETR as MonaiUNETR

_TOKEN = 16  # voxels per axis


class UNETR(MonaiUNETR):
    """U-Net whose encoder is a vision transformer that sees the whole patch at every layer.

    ``(B, in_channels, *S)`` -> logits ``(B, num_classes, *S)``; ``S`` must be ``img_size``, for the
    learnt positions are those of its tokens. A token is 16 voxels wide; the outputs of four of the
    twelve layers are enlarged to a convolutional decoder with instance norm.

    Hatamizadeh et al., UNETR, arXiv 2103.10504; encoder: Dosovitskiy et al., ViT-B/16, arXiv
    2010.11929. The network is MONAI's, less one norm a layer that MONAI keeps for cross-attention
    and never uses (weights that get no gradient stop a training on several devices). 92.8 million
    parameters for 96 x 96 x 96 voxels.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        num_classes: channels of the logits.
        img_size: voxels per axis of every input, multiples of 16; under a sliding window the
            window's.
        feature_size: channels of the finest stage. Published: 16.
        hidden_size: channels of a token.
        mlp_dim: channels within a layer's perceptron.
        num_heads: attention heads; must divide ``hidden_size``.
        dropout: probability within the transformer.

    Raises:
        InputError: the arguments do not fit together; in ``forward``: the input does not fit.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        img_size: Sequence[int],
        feature_size: int = 16,
        hidden_size: int = 768,
        mlp_dim: int = 3072,
        num_heads: int = 12,
        dropout: float = 0.0,
    ) -> None:
        check_dims(spatial_dims)
        size = tuple(img_size)
        if len(size) != spatial_dims or any(n < _TOKEN or n % _TOKEN for n in size):
            raise InputError(
                "img_size of UNETR must give a multiple of 16 for each axis",
                expected=f"{spatial_dims} numbers such as {(96,) * spatial_dims}",
                found=repr(size),
            )
        if num_heads < 1 or hidden_size % num_heads:
            raise InputError(
                "num_heads of UNETR must divide hidden_size",
                expected=f"a divisor of {hidden_size}",
                found=repr(num_heads),
            )
        super().__init__(
            in_channels=in_channels,
            out_channels=num_classes,
            img_size=size,
            feature_size=feature_size,
            hidden_size=hidden_size,
            mlp_dim=mlp_dim,
            num_heads=num_heads,
            dropout_rate=dropout,
            spatial_dims=spatial_dims,
        )
        for layer in self.vit.blocks:
            layer.norm_cross_attn = nn.Identity()
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.img_size = size
        self.divisor = (_TOKEN,) * spatial_dims

    def forward(self, x: Tensor) -> Tensor:
        """Return logits.

        Raises:
            InputError: the shape of ``x`` does not fit; see `check_input`.
        """
        check_input(x, in_channels=self.in_channels, divisor=self.divisor, lone_voxel=True)
        if tuple(x.shape[2:]) != self.img_size:
            raise InputError(
                "UNETR takes inputs of one size only, that of its learnt positions",
                expected=str(self.img_size),
                found=str(tuple(x.shape[2:])),
                remedy="run it under a sliding window, or build it with this img_size",
            )
        return super().forward(x)
