"""Sums over all patches of a step, where several processes have a part of them each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

_summing = False


@contextmanager
def over_all_ranks(active: bool) -> Iterator[None]:
    """Let losses see the patches of all processes, for a while, if ``active``.

    All processes must compute the same losses meanwhile. Each of them gets the loss of the whole
    step; the mean of their gradients, which DistributedDataParallel takes, is that loss's gradient.
    """
    global _summing
    before, _summing = _summing, active
    try:
        yield
    finally:
        _summing = before


def summed(values: Tensor) -> Tensor:
    """Add up what the processes have, within `over_all_ranks`; elsewhere return ``values``.

    The gradient is summed likewise: nnU-Net's batch Dice does the same (``AllGatherGrad``).
    """
    if not _summing:
        return values
    from torch.distributed.nn.functional import all_reduce

    return all_reduce(values)
