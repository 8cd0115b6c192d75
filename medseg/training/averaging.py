"""Exponential moving average of weights, beside the raw ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def averaged_copy(network: nn.Module, decay: float) -> AveragedNetwork:
    """Make the averaged twin of ``network``; call ``update_parameters(network)`` after each step.

    The decay is warmed up as ``min(decay, (1 + n) / (10 + n))`` after n updates, so that a short
    training does not average over its random start.

    Raises:
        ValueError: ``decay`` is not in (0, 1).
    """
    if not 0.0 < decay < 1.0:
        raise ValueError(f"the decay of a moving average lies between 0 and 1, got {decay}")
    return AveragedNetwork(network, decay)


class AveragedNetwork(nn.Module):
    """A network's twin whose weights follow it.

    Its state has the names of `torch.optim.swa_utils.AveragedModel`, which asks the device for the
    number of updates at every one: on a GPU each step would wait for all that is queued.
    """

    n_averaged: Tensor

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.module = copy.deepcopy(network)
        self.decay = decay
        self.register_buffer("n_averaged", torch.tensor(0, dtype=torch.long))
        self._count: int | None = 0  # of updates, as a plain number; None: read it from the buffer
        self._pairs: tuple[Any, ...] | None = None
        self.requires_grad_(False)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the averaged network."""
        return self.module(*args, **kwargs)

    @torch.no_grad()
    def update_parameters(self, network: nn.Module) -> None:
        """Move the averaged weights towards those of ``network``; buffers are copied."""
        if self._count is None:
            self._count = int(self.n_averaged)
        _, own, theirs, own_buffers, their_buffers = self._paired(network)
        # The first update takes the weights over: nothing has been averaged yet.
        n = self._count
        weight = 1.0 - min(self.decay, (1.0 + n) / (10.0 + n)) if n else 1.0
        if own:
            torch._foreach_lerp_(own, theirs, weight)
        if own_buffers:
            torch._foreach_copy_(own_buffers, their_buffers)
        self._count = n + 1
        self.n_averaged += 1

    def _paired(self, network: nn.Module) -> tuple[Any, ...]:
        # Walking through a hundred modules at every step costs as much as the update itself.
        if self._pairs is None or self._pairs[0] is not network:
            self._pairs = (
                network,
                [p for p in self.module.parameters() if p.is_floating_point()],
                [p for p in network.parameters() if p.is_floating_point()],
                list(self.module.buffers()),
                list(network.buffers()),
            )
        return self._pairs

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> AveragedNetwork:
        self._pairs = None  # moving to a device makes other buffers
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._count = self._pairs = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the pairs out of copies: they would drag the other network along."""
        return {**super().__getstate__(), "_pairs": None}
