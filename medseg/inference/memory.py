"""A device's memory that is full: how that shows, and how to predict with less of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from medseg.errors import InputError
from medseg.inference.window import SlidingWindow

_log = logging.getLogger(__name__)

# The CPU's allocator, the driver and its libraries each have words of their own.
_WORDS = (
    "not enough memory",
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that a device's memory is full."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


def require_out_of_memory(error: Exception, device: torch.device) -> None:
    """Raise ``error`` again unless what failed on a GPU may fit the CPU's memory."""
    if not is_out_of_memory(error) or device.type == "cpu":
        raise error
    _log.warning("%s is out of memory; restoring the grid on the CPU", device)


def within_memory(
    attempt: Callable[[SlidingWindow, torch.device], Tensor],
    window: SlidingWindow,
    device: torch.device,
) -> Tensor:
    """Predict a volume, with less and less of the device's memory until it is enough.

    Args:
        attempt: returns the logits, given a window and where to gather them.
        window: as it should be.
        device: where the windows are run.

    Raises:
        InputError: not even one patch fits.
    """
    cpu, one = torch.device("cpu"), replace(window, batch_size=1)
    for chosen, gather_on, thrift in (
        (window, device, None),
        (window, cpu, "gathering the logits on the CPU"),
        (one, cpu, "running one window at a time"),
    ):
        if thrift:
            # Only here, with the exception gone, are its frames' tensors free.
            torch.cuda.empty_cache()
            _log.warning("%s is out of memory; %s", device, thrift)
        try:
            return attempt(chosen, gather_on)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
    raise InputError(
        f"the memory of {device} is not enough for one patch",
        found=f"patch_size {tuple(window.patch_size)}",
        remedy="predict with device cpu",
    )
