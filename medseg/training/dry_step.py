"""One training step on made-up images: how much memory and time it takes on a device."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from medseg.data.feed.batch import Batch
from medseg.errors import MedsegError
from medseg.geometry.boxes import Boxes
from medseg.inference.memory import is_out_of_memory
from medseg.machine import give_back_freed_memory, peak_memory, resident_memory
from medseg.training import rng
from medseg.training.backends import fastest
from medseg.training.waiting import wait_for

# The first step also pays for what is set up once; if it is quick, a second one is timed.
_QUICK_SECONDS = 3.0
_WARM_UP_ON_GPU = 2


class OutOfMemory(MedsegError):
    """The device has not the memory for a step."""


@dataclass(frozen=True)
class Measured:
    """What a step takes.

    Attributes:
        seconds: one step: forward, loss, backward, optimiser.
        forward_seconds: its part up to the loss.
        bytes: memory beyond what the process (CPU) or torch (GPU) used before, the network's own
            weights included, as a training that has begun needs it. On a GPU what torch takes of
            the device, which is a little more than it uses.
    """

    seconds: float
    forward_seconds: float
    bytes: int


def dry_step(
    task: pl.LightningModule,
    batch: Batch,
    *,
    device: torch.device | str = "cpu",
    precision: str = "32",
) -> Measured:
    """Take a step and measure it; every random generator is as it was afterwards.

    Args:
        task: a copy that nobody needs any more: its weights change, and lie on the CPU afterwards.
        batch: of the shape to measure; `synthetic_batch` makes one.
        device: where to train.
        precision: as for Lightning: ``32``, ``bf16-mixed``, ``16-mixed`` or ``64``.

    Raises:
        OutOfMemory: the step does not fit. On CPUs the system may end the process instead, so look
            at `saved_bytes` first where it could be close.
    """
    device = torch.device(device)
    states = rng.capture()
    try:
        return _measured(task, batch, device, precision)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        reason = (str(error).strip().splitlines() or ["out of memory"])[0]
    finally:
        rng.restore(states)
        if device.type == "cuda":
            # The caller still holds the task, and the next measurement needs its place.
            task.zero_grad(set_to_none=True)
            task.cpu()
            torch.cuda.empty_cache()
    # Only here, with the first exception gone, are its frames' tensors free.
    raise OutOfMemory(reason)


def synthetic_batch(
    batch_size: int,
    channels: int,
    patch_size: Sequence[int],
    *,
    num_labels: int,
    objects: bool = False,
) -> Batch:
    """Make noise ``(B, C, *S)`` with random label indices, from a generator of its own.

    Of a network that reads around its patch, ``patch_size`` is the size of the input. With
    ``objects`` each patch has the box of one, too: its middle half.
    """
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(batch_size, channels, *patch_size, generator=generator)
    label = torch.randint(num_labels, (batch_size, 1, *patch_size), generator=generator)
    size = np.array(patch_size)
    middle = Boxes(np.concatenate([size / 4, size * 3 / 4])[None])
    return Batch(
        image=image,
        label=label.to(torch.uint8),
        seeds=torch.zeros(batch_size, dtype=torch.int64),
        case_ids=[f"made-up case {i}" for i in range(batch_size)],
        boxes=[middle] * batch_size if objects else None,
    )


def saved_bytes(network: nn.Module, shape: Sequence[int]) -> int | None:
    """Count what a forward pass keeps for the backward pass, in float32, without computing it.

    Args:
        network: any; it is copied without its values.
        shape: ``(B, C, *S)``.

    Returns:
        Bytes, weights apart; ``None`` where the network cannot run without values.
    """
    with torch.device("meta"):
        image = torch.empty(*shape)
    ghost = _without_values(network)
    own = {p.untyped_storage()._cdata for p in (*ghost.parameters(), *ghost.buffers())}
    kept: dict[int, tuple[Any, int]] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = (storage, storage.nbytes())
        return tensor

    states = rng.capture()
    try:
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            ghost.train()(image)
    except Exception:  # what a network of others does without values is anybody's guess
        return None
    finally:
        rng.restore(states)
    return sum(size for _, size in kept.values())


def _without_values(network: nn.Module) -> nn.Module:
    """Copy a network to the meta device, never holding its weights twice."""
    import copy

    memo = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=p.requires_grad)
        for p in network.parameters()
    }
    return copy.deepcopy(network, memo).to("meta")


def _measured(
    task: pl.LightningModule, batch: Batch, device: torch.device, precision: str
) -> Measured:
    held = _restart(device)
    task.to(device=device, dtype=torch.float64 if precision == "64" else None)
    task.train()
    image = batch.image.double() if precision == "64" else batch.image
    label = None if batch.label is None else batch.label.to(device)
    batch = batch._replace(image=image.to(device), label=label)
    optimizer = _optimizer(task)
    times: list[tuple[float, float]] = []
    peak = 0
    with fastest(device):
        while _another(times, device):
            times.append(_step(task, batch, optimizer, device, precision))
            if device.type == "cuda" and len(times) == 1:
                _restart(device)  # the search for algorithms takes all that it finds, for a moment
            else:
                peak = max(peak, _peak(device))
    # The optimiser's state is made at the end of the first step, and there from then on.
    state = _state_bytes(optimizer) if len(times) == 1 else 0
    seconds, forward = min(times)
    return Measured(seconds, forward, max(0, peak - held) + state)


def _another(times: list[tuple[float, float]], device: torch.device) -> bool:
    if device.type != "cpu":
        return len(times) <= _WARM_UP_ON_GPU
    return not times or (len(times) == 1 and times[0][0] < _QUICK_SECONDS)


def _step(
    task: pl.LightningModule,
    batch: Batch,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    precision: str,
) -> tuple[float, float]:
    wait_for(device)
    started = time.perf_counter()
    with warnings.catch_warnings():
        # `training_step` logs, and there is no trainer to log to.
        warnings.simplefilter("ignore")
        with _autocast(device, precision):
            output: Any = task.training_step(batch, 0)
    loss = output["loss"] if isinstance(output, Mapping) else output
    wait_for(device)
    forward = time.perf_counter() - started
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    wait_for(device)
    return time.perf_counter() - started, forward


def _optimizer(task: pl.LightningModule) -> torch.optim.Optimizer:
    configured: Any = task.configure_optimizers()
    return configured["optimizer"] if isinstance(configured, Mapping) else configured


def _state_bytes(optimizer: torch.optim.Optimizer) -> int:
    values = (value for state in optimizer.state.values() for value in state.values())
    return sum(v.numel() * v.element_size() for v in values if isinstance(v, Tensor))


def _autocast(device: torch.device, precision: str) -> AbstractContextManager:
    if not precision.endswith("mixed"):
        return nullcontext()
    kind = torch.bfloat16 if precision.startswith("bf16") else torch.float16
    return torch.autocast(device.type, dtype=kind)


def _restart(device: torch.device) -> int:
    """Begin to watch for the peak; return what is in use now."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    # What was freed and kept would be used again, and the step would seem to take nothing.
    give_back_freed_memory()
    peak_memory(restart=True)
    return resident_memory()


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    return peak_memory()
