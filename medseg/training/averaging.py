"""Exponential moving average of weights, beside the raw ones."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[torch.Tensor, ...] | list[torch.Tensor]


def averaged_copy(network: nn.Module, decay: float) -> AveragedModel:
    """Make the averaged twin of ``network``; call ``update_parameters(network)`` after each step.

    The decay is warmed up as ``min(decay, (1 + n) / (10 + n))`` after n updates, so that a short
    training does not average over its random start.

    Raises:
        ValueError: ``decay`` is not in (0, 1).
    """
    if not 0.0 < decay < 1.0:
        raise ValueError(f"the decay of a moving average lies between 0 and 1, got {decay}")

    def update(averaged: Tensors, current: Tensors, count: torch.Tensor | int) -> None:
        n = float(count)
        weight = 1.0 - min(decay, (1.0 + n) / (10.0 + n))
        torch._foreach_lerp_(averaged, current, weight)

    twin = AveragedModel(network, multi_avg_fn=torch.no_grad()(update), use_buffers=False)
    return twin.requires_grad_(False)
