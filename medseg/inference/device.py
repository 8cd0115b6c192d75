"""Where networks run, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from medseg.errors import InputError


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device that ``device`` names; ``auto`` is CUDA where there is one, else the CPU.

    Raises:
        InputError: it is not a device, or not one of this machine.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f"the device {str(device)!r} is not available",
            expected="auto, cpu" + (", cuda" if torch.cuda.is_available() else ""),
            found=str(error).strip().splitlines()[0][:200],
        ) from error
    return chosen


def autocast(device: torch.device) -> AbstractContextManager:
    """Return a context of bfloat16 on GPUs that compute in it; elsewhere float32 is as fast."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()
