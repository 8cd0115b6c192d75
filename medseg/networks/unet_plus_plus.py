"""U-Net++: decoders of every depth, nested into one."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from medseg.networks.blocks.convolution import convolution
from medseg.networks.blocks.upsampling import UpStage
from medseg.networks.encoder_decoder import initialise
from medseg.networks.input_check import check_input
from medseg.networks.topology import PerStage, Topology, counts_per_stage
from medseg.networks.unet import plain_encoder


class UNetPlusPlus(nn.Module):
    """U-Net with nested, dense skips.

    ``(B, in_channels, *S)`` -> logits ``(B, num_classes, *S)``; in training with deep supervision a
    list, the deepest first, all of them at full resolution. Node X(i, j) of stage i joins all nodes
    X(i, 0) … X(i, j-1) of its stage and X(i+1, j-1), enlarged; X(i, 0) is the encoder. The logits
    are made of X(0, L), those of deep supervision of X(0, L) … X(0, 1): the U-Nets of every depth.

    Zhou et al., UNet++, arXiv 1807.10165 and 1912.05074; the papers weigh all heads equally, and so
    does `medseg.losses.DeepSupervisionLoss`. monai.BasicUNetPlusPlus has five stages of stride 2
    and kernel 3, whatever the patch.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        num_classes: channels of the logits.
        features: channels per stage, finest first; the last is the bottleneck's.
        strides: per stage, one number or one per axis, the first all ones; ``None``: 1, then 2s.
        kernels: per stage, one odd number or one per axis; ``None``: 3s.
        convs_per_stage: convolutions per encoder stage, one number or one per stage.
        decoder_convs_per_stage: convolutions per node of a stage, which are one less.
        conv_bias: whether convolutions that a norm follows have a bias.
        deep_supervision: give logits of every node at full resolution while training.

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
        super().__init__()
        topology = Topology.read(
            spatial_dims=spatial_dims, features=features, strides=strides, kernels=kernels
        )
        depth = topology.stages - 1
        counts = counts_per_stage("decoder_convs_per_stage", decoder_convs_per_stage, depth)
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.deep_supervision = deep_supervision
        self.divisor = topology.divisor
        self.encoder = nn.ModuleList(
            plain_encoder(topology, in_channels, convs_per_stage=convs_per_stage, bias=conv_bias)
        )
        self.decoder = nn.ModuleList(
            nn.ModuleList(_nodes(topology, column, counts=counts, bias=conv_bias))
            for column in range(1, depth + 1)
        )
        self.heads = nn.ModuleList(
            convolution(topology.features[0], num_classes, kernel=(1,) * spatial_dims)
            for _ in range(depth if deep_supervision else 1)
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return logits, or with deep supervision in training a list of them, deepest first.

        Raises:
            InputError: the shape of ``x`` does not fit; see `check_input`.
        """
        check_input(x, in_channels=self.in_channels, divisor=self.divisor)
        rows: list[list[Tensor]] = []  # rows[i][j] is X(i, j)
        for stage in self.encoder:
            x = stage(x)
            rows.append([x])
        for column, nodes in enumerate(self.decoder):
            for i, node in enumerate(nodes.children()):
                rows[i].append(node(rows[i + 1][column], *rows[i]))
        if self.training and self.deep_supervision:
            deepest_first = rows[0][:0:-1]
            return [head(x) for head, x in zip(self.heads, deepest_first, strict=True)]
        return self.heads[0](rows[0][-1])


def _nodes(topology: Topology, column: int, *, counts: Sequence[int], bias: bool) -> list[UpStage]:
    """Make the nodes X(0, column), X(1, column) and so on."""
    return [
        UpStage(
            topology.features[i + 1],
            topology.features[i],
            count=counts[i],
            kernel=topology.kernels[i],
            stride=topology.strides[i + 1],
            skips=column,
            bias=bias,
        )
        for i in range(topology.stages - column)
    ]
