"""Waiting for a device, so that a clock reads what was computed and not what was asked for."""

from __future__ import annotations

import torch


def wait_for(device: torch.device) -> None:
    """Return when the device has done all that it was given; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
