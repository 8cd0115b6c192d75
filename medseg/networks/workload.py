"""How much a training step of any network computes, counted without computing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from medseg.detection.output import DetectionOutput
from medseg.networks.outputs import as_heads
from medseg.networks.registry import create


class Workload(NamedTuple):
    """What one patch costs: operations forward and backward, and values put out by layers."""

    flops: int
    values: int


def workload(
    name: str, arguments: Mapping[str, Any], *, in_channels: int, size: Sequence[int]
) -> Workload:
    """Count the operations of a training step, and what its layers with kernels put out.

    Nothing is computed: PyTorch follows the shapes (its ``meta`` device).

    Args:
        name: see `registry.resolve`; of packages that need no trust.
        arguments: of the constructor, see `registry.plan_arguments`.
        in_channels: channels of the input.
        size: of the input, voxels per axis.

    Raises:
        InputError: the network refuses its arguments, or the size.
    """
    values = 0

    def count(module: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal values
        values += output.numel()

    with torch.random.fork_rng(devices=[]):
        # Not made on that device: constructors look at values.
        network = create(name, arguments).train().to("meta")
    for module in network.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter) and weight.ndim > 1:
            module.register_forward_hook(count)
    image = torch.empty(1, in_channels, *size, device="meta")
    with FlopCounterMode(display=False) as counter:
        outputs = _outputs(network(image), spatial_dims=len(size))
        torch.stack([output.sum() for output in outputs]).sum().backward()
    return Workload(counter.get_total_flops(), values)


def _outputs(output: Any, *, spatial_dims: int) -> list[Tensor]:
    """List all that a loss looks at."""
    if not isinstance(output, DetectionOutput):
        return as_heads(output, spatial_dims=spatial_dims)
    segmentation = [] if output.segmentation is None else [output.segmentation]
    return [*output.class_logits, *output.box_deltas, *segmentation]
