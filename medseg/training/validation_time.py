"""How long the validation at a training's end will take, so that a budget can keep time for it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from medseg import ranks
from medseg.data.feed.batch import Batch
from medseg.data.splits import evenly
from medseg.inference.window import SlidingWindow, window_starts
from medseg.training.waiting import wait_for

_SAMPLED = 64  # sizes that are looked at; the rest are assumed to be like these
_BYTES_A_SECOND = 200e6  # of a slow disk, before a checkpoint has been written
_TIMED = 8  # cases, at most
_SHARE = 0.01  # of the training's time that timing them may take


class ValidationTime:
    """Learns from the validations what the next one will take, in seconds."""

    def __init__(self) -> None:
        self.estimate = 0.0  # until one was measured
        self.total = 0.0
        self._took: list[float] = []
        self._cases: list[float] = []

    @property
    def measured(self) -> bool:
        """Say whether a whole validation has been seen."""
        return bool(self._took)

    @property
    def expected(self) -> float:
        """Seconds of the next validation, checkpoints included: the median of the last three."""
        return statistics.median(self._took[-3:]) if self._took else self.estimate

    def case(self, seconds: float) -> None:
        """Note the time of one case of the validation that is running."""
        self._cases.append(seconds)

    def finished(self, seconds: float) -> None:
        """Note the time of a whole validation.

        What a case took beyond ten times the usual, as on a machine that was paused, is no guide
        to the next validation.
        """
        usual = statistics.median(self._cases) if self._cases else 0.0
        stalled = sum(max(0.0, took - 10 * usual) for took in self._cases)
        self.total += seconds
        self._took = [*self._took[-2:], seconds - stalled]

    def further(self, seconds: float) -> None:
        """Add to the last validation, for what the callbacks did after it."""
        self.total += seconds
        self._took[-1] += seconds

    def begin(self) -> None:
        """Forget the cases of the validation before."""
        self._cases = []

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training must know."""
        return {"took": list(self._took), "total": self.total, "estimate": self.estimate}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where an earlier run stopped."""
        self._took, self.total = list(state["took"]), state["total"]
        self.estimate = state["estimate"]


def of_trainer(
    trainer: pl.Trainer, module: pl.LightningModule, *, left: float, now: Callable[[], float]
) -> float:
    """Predict the seconds of a trainer's validation and of writing its checkpoints.

    Args:
        trainer: about to train, or training.
        module: see `predicted_seconds`; one that cannot predict whole volumes is not timed.
        left: seconds of the training, in which the validation should fit.
        now: the clock, in seconds.
    """
    loader: Any = trainer.val_dataloaders
    dataset, collate = getattr(loader, "dataset", None), getattr(loader, "collate_fn", None)
    known = hasattr(module, "predict_logits") and hasattr(dataset, "__getitem__")
    seconds = 0.0
    if known and collate is not None and trainer.num_val_batches:
        with torch.no_grad(), trainer.precision_plugin.val_step_context():
            # Several processes share the cases out, and take the first one's word for the time.
            everything = predicted_seconds(
                module, dataset, collate, spend=_SHARE * left, hopeless=left, now=now
            )
            seconds = everything / ranks.world_size()
        module.train()
    return ranks.first_number(seconds + saving_seconds(module))


def predicted_seconds(
    module: Any,
    dataset: Any,
    collate: Callable[[list[Any]], Any],
    *,
    spend: float,
    hopeless: float,
    now: Callable[[], float] = time.monotonic,
) -> float:
    """Time a few cases of a validation set and scale by the windows that each case takes.

    Args:
        module: its ``score(batch)``, else its ``predict_logits(image)``, is timed; on its device.
        dataset: of whole volumes; ``dataset.cases``, if there, tells the sizes without reading.
        collate: makes a batch of a list of items.
        spend: seconds that timing may take; one case is timed at least.
        hopeless: a validation beyond this many seconds need not be known exactly.
        now: the clock, in seconds.
    """
    act = getattr(module, "score", None) or (lambda batch: module.predict_logits(batch.image))
    count = len(dataset)
    if not count:
        return 0.0
    first = collate([dataset[count // 2]])
    if not isinstance(first, Batch):
        return 0.0
    window = getattr(module, "window", None)
    window = window if isinstance(window, SlidingWindow) else None
    here = _load(tuple(first.image.shape[2:]), window)
    picked = evenly(range(count), _SAMPLED)
    loads = [_load(size, window) for size in _sizes(dataset, picked)] or [here]
    total = statistics.fmean(loads) * count

    def timed(batch: Batch) -> float:
        started = now()
        act(_moved(batch, module.device))
        wait_for(module.device)
        return now() - started

    began = now()
    # A patch first: it warms the device up, and tells cheaply that there is no hope.
    patch = _patch(first, window)
    timed(patch)
    rate = timed(patch) / _load(tuple(patch.image.shape[2:]), window)
    if rate * total > hopeless or now() - began + rate * here > max(spend, hopeless / 10):
        return rate * total
    seconds, load = timed(first), here
    for index in evenly(range(count), _TIMED):
        if now() - began > spend:
            break
        batch = collate([dataset[index]])
        seconds += timed(batch)
        load += _load(tuple(batch.image.shape[2:]), window)
    return seconds / load * total


def saving_seconds(module: nn.Module) -> float:
    """Guess what writing ``last.ckpt`` and ``best.ckpt`` takes, before one was written."""
    weights = sum(p.numel() * p.element_size() for p in module.parameters())
    moments = 2 * sum(p.numel() * p.element_size() for p in module.parameters() if p.requires_grad)
    return 2 * (weights + moments) / _BYTES_A_SECOND


def _load(size: Sequence[int], window: SlidingWindow | None) -> float:
    """Tell the work on a case: its windows, or its voxels where there are none."""
    if window is None:
        return float(prod(size))
    patch = tuple(window.patch_size)
    padded = [max(n, p) for n, p in zip(size, patch, strict=True)]
    return float(len(window_starts(padded, patch, window.overlap)))


def _sizes(dataset: Any, picked: Sequence[int]) -> list[tuple[int, ...]]:
    cases = getattr(dataset, "cases", None)
    return [] if cases is None else [tuple(cases[i].image.shape[1:]) for i in picked]


def _patch(batch: Batch, window: SlidingWindow | None) -> Batch:
    if window is None:
        return batch
    inner = tuple(slice(0, n) for n in window.patch_size)
    label = batch.label
    return batch._replace(
        image=batch.image[(slice(None), slice(None), *inner)],
        label=None if label is None else label[(slice(None), slice(None), *inner)],
    )


def _moved(batch: Batch, device: torch.device) -> Batch:
    def move(tensor: Tensor | None) -> Any:
        return None if tensor is None else tensor.to(device)

    return batch._replace(image=move(batch.image), label=move(batch.label))
