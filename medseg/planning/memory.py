"""How much a U-Net has to remember for its backward pass, in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod

# Of the plain U-Net, in encoder and decoder alike.
CONVS_PER_STAGE = 2


def plain_activations(
    patch_size: Sequence[int],
    strides: Sequence[Sequence[int]],
    features: Sequence[int],
    *,
    num_classes: int,
) -> int:
    """Count the values that the convolutions of a plain U-Net put out for one patch.

    With n voxels and f features at a stage: 2·f·n in the encoder, and in the decoder (all stages
    but the bottleneck) 2·f·n for its convolutions and f·n for the upsampling; at full resolution
    one value per class and voxel. Norms and nonlinearities are in proportion, so the reference
    that this is compared with stands for them (nnU-Net v2).

    Args:
        patch_size: voxels per axis.
        strides: per stage, per axis.
        features: channels per stage.
        num_classes: outputs of the network.
    """
    total = num_classes * prod(patch_size)
    for stage, voxels in enumerate(voxels_per_stage(patch_size, strides)):
        total += CONVS_PER_STAGE * features[stage] * voxels
        if stage < len(strides) - 1:
            total += (CONVS_PER_STAGE + 1) * features[stage] * voxels
    return total


def residual_activations(
    patch_size: Sequence[int],
    strides: Sequence[Sequence[int]],
    features: Sequence[int],
    *,
    blocks: Sequence[int],
    num_classes: int,
) -> int:
    """Count the same for a U-Net with a residual encoder.

    A stem of f·n; per stage 2·f·n a block, and f·n more where the first block's shortcut changes
    channels or size; in the decoder f·n for its one convolution and f·n for the upsampling
    (nnU-Net Revisited, arXiv 2404.09556).

    Args:
        patch_size: voxels per axis.
        strides: per stage, per axis.
        features: channels per stage.
        blocks: residual blocks per stage.
        num_classes: outputs of the network.
    """
    total = (features[0] + num_classes) * prod(patch_size)
    before = features[0]
    for stage, voxels in enumerate(voxels_per_stage(patch_size, strides)):
        channels = features[stage]
        shortcut = channels != before or any(s > 1 for s in strides[stage])
        total += (2 * blocks[stage] + shortcut) * channels * voxels
        if stage < len(strides) - 1:
            total += 2 * channels * voxels
        before = channels
    return total


@dataclass(frozen=True)
class GpuMemory:
    """The limit of presets that fill a GPU: what a training with mixed precision may remember.

    Attributes:
        gb: memory of the GPU.
        values: activations of one patch that fill it at the batch size ``batch``; by dimensions.
        batch: patches a step that ``values`` were found with; by dimensions.
        least: the batch that must fit before the patch stops shrinking; by dimensions.
    """

    gb: float
    values: Mapping[int, float]
    batch: Mapping[int, int]
    least: Mapping[int, int]

    def room(self, patch_size: Sequence[int], activations: int) -> float:
        """Return how many patches fit."""
        dims = len(patch_size)
        return self.values[dims] / activations * self.batch[dims]

    def fits(self, patch_size: Sequence[int], activations: int) -> bool:
        """Tell whether the patch is small enough."""
        return self.room(patch_size, activations) >= self.least[len(patch_size)]

    def why(self, dims: int) -> tuple[str, str]:
        """Say when a patch is small enough, and how many patches make a batch."""
        return f"training fits {self.gb:g} GB", f"as many as fit {self.gb:g} GB"


def voxels_per_stage(patch_size: Sequence[int], strides: Sequence[Sequence[int]]) -> Iterator[int]:
    """Give the voxels of a patch at each stage."""
    size = list(patch_size)
    for stride in strides:
        size = [ceil(n / s) for n, s in zip(size, stride, strict=True)]
        yield prod(size)
