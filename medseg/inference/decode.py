"""From logits to label indices: the one place that says what a network's outputs mean."""

from __future__ import annotations

from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from medseg.labels import LabelScheme


@overload
def decode(logits: Tensor, scheme: LabelScheme, *, axis: int = ...) -> Tensor: ...
@overload
def decode(logits: np.ndarray, scheme: LabelScheme, *, axis: int = ...) -> np.ndarray: ...
def decode(logits: Any, scheme: LabelScheme, *, axis: int = 0) -> Any:
    """Turn logits into label indices.

    Exclusive classes: the class of the largest logit. Regions: every region whose sigmoid exceeds
    0.5 (logit > 0) writes its value, later regions over earlier ones; elsewhere background.

    Args:
        logits: ``(K, *S)``, or with ``axis=1`` a batch ``(B, K, *S)``; ``K`` classes or regions.
        scheme: what the outputs mean.
        axis: where the ``K`` outputs lie.

    Returns:
        uint8 indices (see `LabelScheme`) of the shape of ``logits`` without ``axis``; a tensor on
        the same device for a tensor, an array for an array.

    Raises:
        ValueError: ``axis`` does not hold one entry per output.
    """
    if isinstance(logits, np.ndarray):
        return decode(torch.from_numpy(np.ascontiguousarray(logits)), scheme, axis=axis).numpy()
    if logits.ndim <= axis or logits.shape[axis] != scheme.num_outputs:
        raise ValueError(
            f"axis {axis} of logits {tuple(logits.shape)} should hold {scheme.num_outputs} "
            "outputs; pass axis=1 for a batch (B, K, ...)"
        )
    running = RunningDecoder(scheme)
    for channel in logits.unbind(axis):
        running.add(channel)
    return running.index


class RunningDecoder:
    """Decode outputs that arrive one at a time, holding two channels at most.

    Feed `add` the outputs in the scheme's order; `index` is then what `decode` gives. With many
    classes on a large grid the whole stack would not fit (100 classes on 512x512x900: 94 GB).

    Args:
        scheme: what the outputs mean.
        threshold: a region is where its output exceeds this: 0 for logits, 0.5 for probabilities.
    """

    def __init__(self, scheme: LabelScheme, *, threshold: float = 0.0) -> None:
        self._threshold = threshold
        self._index: Tensor | None = None
        self._best: Tensor | None = None
        self._exclusive = not scheme.regions
        position = {value: i for i, value in enumerate(scheme.values.values())}
        self._codes = (
            list(range(len(scheme.values)))
            if self._exclusive
            else [position[value] for value in scheme.order]
        )
        self._seen = 0

    def add(self, channel: Tensor) -> None:
        """Take the next output's logits, or probabilities, ``(…)``; all of one shape."""
        code = self._codes[self._seen]
        self._seen += 1
        if self._index is None:
            self._index = torch.zeros(channel.shape, dtype=torch.uint8, device=channel.device)
            if self._exclusive:
                self._best = channel
                return
        if self._best is None:
            self._index[channel > self._threshold] = code
            return
        better = channel > self._best
        self._index[better] = code
        self._best = torch.where(better, channel, self._best)

    @property
    def index(self) -> Tensor:
        """The uint8 indices decoded so far."""
        if self._index is None:
            raise ValueError("no output was given")
        return self._index


def activate(logits: Tensor, scheme: LabelScheme, *, axis: int = 0) -> Tensor:
    """Turn logits into probabilities: softmax over classes, or a sigmoid per region."""
    return logits.sigmoid() if scheme.regions else logits.softmax(axis)


def activate_in_place(logits: np.ndarray, scheme: LabelScheme) -> None:
    """Do as `activate` with float32 ``(K, *S)``, where that may not be in memory twice."""
    channels = [torch.from_numpy(channel) for channel in logits]
    if scheme.regions:
        for channel in channels:
            channel.sigmoid_()
        return
    total = channels[0].clone()
    for channel in channels[1:]:
        torch.logaddexp(total, channel, out=total)
    for channel in channels:
        channel.sub_(total).exp_()
