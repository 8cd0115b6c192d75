"""How much a U-Net has to remember for its backward pass, in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence

# nnU-Net's calibration: with mixed precision 8 GB hold the training of a network whose convolutions
# put out this many values a patch, at this batch size; by spatial dimensions.
REFERENCE_GB = 8.0
REFERENCE_VALUES = {2: 85_000_000, 3: 560_000_000}
REFERENCE_BATCH = {2: 12, 3: 2}

CONVS_PER_STAGE = 2


def activations(
    patch_size: Sequence[int],
    strides: Sequence[Sequence[int]],
    features: Sequence[int],
    *,
    num_classes: int,
) -> int:
    """Count the values that the convolutions of a plain U-Net put out for one patch.

    With n voxels and f features at a stage: 2·f·n in the encoder, and in the decoder (all stages
    but the bottleneck) 2·f·n for its convolutions, f·n for the upsampling and one value per class
    and voxel for deep supervision. Norms and nonlinearities are in proportion, so the reference
    that this is compared with stands for them.

    Args:
        patch_size: voxels per axis.
        strides: per stage, per axis.
        features: channels per stage.
        num_classes: outputs of the network.
    """
    size = list(patch_size)
    total = 0
    for stage, (stride, channels) in enumerate(zip(strides, features, strict=True)):
        size = [math.ceil(n / s) for n, s in zip(size, stride, strict=True)]
        voxels = math.prod(size)
        total += CONVS_PER_STAGE * channels * voxels
        if stage < len(strides) - 1:
            total += ((CONVS_PER_STAGE + 1) * channels + num_classes) * voxels
    return total


def reference(spatial_dims: int, memory_gb: float) -> float:
    """Return how many `activations` a patch may have in ``memory_gb`` of GPU memory."""
    return REFERENCE_VALUES[spatial_dims] * memory_gb / REFERENCE_GB
