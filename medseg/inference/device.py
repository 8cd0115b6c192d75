"""Where networks run, in which precision, and how many windows at once."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from medseg.errors import InputError

_MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


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
        said = str(error).strip().splitlines()[0][:200]
        raise InputError(
            f"the device {str(device)!r} is not available",
            expected="auto, cpu" + (", cuda" if torch.cuda.is_available() else ""),
            # Of a word that names no device torch lists all that it was ever built for.
            found=None if said.startswith("Expected one of") else said,
        ) from error
    return chosen


def windows_at_once(asked: int | None, planned: int, device: torch.device) -> int:
    """Return how many windows go through a network at once.

    ``None`` is the planned batch on a GPU, where a training step of this size fits; a CPU gains
    nothing from more than one.
    """
    return asked or (1 if device.type == "cpu" else planned)


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Return the context in which a network trained in ``precision`` computes.

    Args:
        device: where it runs.
        precision: as for Lightning. What is not mixed, or mixed in a type that the device does not
            compute in, is float32.
    """
    kind = _MIXED.get(precision)
    if kind is None or not _computes_in(kind, device):
        return nullcontext()
    return torch.autocast(device.type, dtype=kind)


def has_bf16_instructions() -> bool:
    """Say whether the processor multiplies in bfloat16 (AVX512-BF16 or AMX)."""
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    known = [getattr(torch.cpu, name, None) for name in asked]
    return any(ask is not None and ask() for ask in known)


def _computes_in(kind: torch.dtype, device: torch.device) -> bool:
    if device.type == "cuda":
        return kind == torch.float16 or torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and kind == torch.bfloat16 and has_bf16_instructions()
