"""The U-Net whose skips pass attention gates."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from medseg.errors import InputError
from medseg.networks.blocks.attention_gate import AttentionGate
from medseg.networks.encoder_decoder import initialise
from medseg.networks.topology import PerStage, Topology
from medseg.networks.unet import UNet


class AttentionUNet(UNet):
    """U-Net whose decoder gates the skips: each voxel is weighed by what coarser stages found.

    ``(B, in_channels, *S)`` -> logits ``(B, num_classes, *S)``; in training with deep supervision a
    list, finest first, one per decoder stage. `UNet` with an `AttentionGate` on each skip but the
    finest, whose features are too simple to be judged; the gating signal is the decoder's output
    one stage below, at the bottleneck the encoder's.

    Oktay et al., Attention U-Net, arXiv 1804.03999. monai.AttentionUnet has one kernel for all
    stages, no deep supervision, and gates that see what was enlarged already.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        num_classes: channels of the logits.
        features: channels per stage, finest first; the last is the bottleneck's.
        strides: per stage, one number or one per axis, the first all ones; ``None``: 1, then 2s.
        kernels: per stage, one odd number or one per axis; ``None``: 3s.
        gate_finest: whether the skip at full resolution has a gate too; the paper's has none.
        convs_per_stage: convolutions per encoder stage, one number or one per stage.
        decoder_convs_per_stage: the same for the decoder, which has one stage less.
        conv_bias: whether convolutions that a norm follows have a bias.
        deep_supervision: give logits at every resolution of the decoder while training.

    Raises:
        InputError: the arguments do not fit together, or leave no skip to gate; in ``forward``:
            the input does not fit.
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
        gate_finest: bool = False,
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
        topology = Topology.read(
            spatial_dims=spatial_dims, features=features, strides=strides, kernels=kernels
        )
        self.first_gated = 0 if gate_finest else 1
        self.gates = nn.ModuleList(_gates(topology)[self.first_gated :])
        if not self.gates:
            raise InputError(
                "an attention U-Net of two stages has no gate: the finest skip goes without",
                expected="features of three stages or more",
                found=str(topology.features),
                remedy="set gate_finest: true, or take network: unet",
            )
        initialise(self.gates)

    def skip(self, stage: int, features: Tensor, coarser: Tensor) -> Tensor:
        """Return the encoder's ``features`` as the gate of their stage lets them pass."""
        if stage < self.first_gated:
            return features
        return self.gates[stage - self.first_gated](features, coarser)


def _gates(topology: Topology) -> list[AttentionGate]:
    """Make a gate for each skip, finest first."""
    return [
        AttentionGate(
            topology.features[i], topology.features[i + 1], stride=topology.strides[i + 1]
        )
        for i in range(topology.stages - 1)
    ]
