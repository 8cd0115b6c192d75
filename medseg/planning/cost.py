"""How much a training step of a U-Net computes, in closed form, and how long that takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, prod
from typing import NamedTuple

from medseg.planning.memory import CONVS_PER_STAGE, voxels_per_stage

# A convolution's backward pass computes the gradients of its weights and of its input.
_PASSES = 3


class Convolution(NamedTuple):
    """One convolution: channels in and out, voxels of its kernel, positions it is applied at."""

    inputs: int
    outputs: int
    kernel: int
    positions: int

    @property
    def flops(self) -> int:
        """Multiplications and additions of a forward pass."""
        return 2 * self.inputs * self.outputs * self.kernel * self.positions


@dataclass(frozen=True)
class Speed:
    """How fast a device trains small U-Nets.

    Convolutions cost their operations; norms, nonlinearities and losses cost the values that they
    read and write, which in narrow networks is most of the time.

    Attributes:
        flops: operations a second.
        values: activations (`memory.plain_activations`) a second.
        overhead: seconds of a step that no smaller network would save.
    """

    flops: float
    values: float = inf
    overhead: float = 0.0

    def seconds(self, flops: float, values: float = 0.0) -> float:
        """Return how long a step takes."""
        return self.overhead + flops / self.flops + values / self.values


def convolutions(
    patch_size: Sequence[int],
    strides: Sequence[Sequence[int]],
    kernels: Sequence[Sequence[int]],
    features: Sequence[int],
    *,
    in_channels: int,
    num_classes: int,
    blocks: Sequence[int] | None = None,
) -> Iterator[Convolution]:
    """Give every convolution of `UNet`, or of `ResidualUNet`, for one patch, in order.

    Args:
        patch_size: voxels per axis.
        strides: per stage, per axis.
        kernels: per stage, per axis.
        features: channels per stage.
        in_channels: channels of the input.
        num_classes: channels of the logits.
        blocks: residual blocks per stage; ``None``: the plain U-Net, of two convolutions a stage.
    """
    sizes = list(voxels_per_stage(patch_size, strides))
    kernel = [prod(k) for k in kernels]
    before = in_channels
    if blocks is not None:
        yield Convolution(before, features[0], kernel[0], sizes[0])
        before = features[0]
    for stage, channels in enumerate(features):
        convs = CONVS_PER_STAGE if blocks is None else 2 * blocks[stage]
        yield Convolution(before, channels, kernel[stage], sizes[stage])
        for _ in range(convs - 1):
            yield Convolution(channels, channels, kernel[stage], sizes[stage])
        if blocks is not None and before != channels:
            yield Convolution(before, channels, 1, sizes[stage])
        before = channels
    convs = CONVS_PER_STAGE if blocks is None else 1
    for stage in reversed(range(len(features) - 1)):
        coarse, fine = features[stage + 1], features[stage]
        yield Convolution(coarse, fine, prod(strides[stage + 1]), sizes[stage + 1])
        yield Convolution(2 * fine, fine, kernel[stage], sizes[stage])
        for _ in range(convs - 1):
            yield Convolution(fine, fine, kernel[stage], sizes[stage])
    yield Convolution(features[0], num_classes, 1, sizes[0])


def forward_flops(convolutions: Iterable[Convolution]) -> int:
    """Count the operations of a forward pass of one patch."""
    return sum(conv.flops for conv in convolutions)


def step_flops(convolutions: Iterable[Convolution], *, batch_size: int) -> int:
    """Count the operations of a training step, forward and backward, of ``batch_size`` patches."""
    found = list(convolutions)
    # Nobody asks for the gradient of the image.
    return batch_size * (_PASSES * forward_flops(found) - found[0].flops)
