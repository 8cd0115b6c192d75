"""The device that a recipe trains on: which one, what it is called, what it has to spare."""

from __future__ import annotations

import platform
import shutil
from typing import TYPE_CHECKING, Any

from medseg.errors import InputError
from medseg.machine import memory_available, memory_limit, usable_cores
from medseg.recipe import Recipe

if TYPE_CHECKING:
    import torch

GIB = 2**30


def training_device(recipe: Recipe) -> torch.device:
    """Find the device that ``trainer.accelerator`` and ``trainer.devices`` name, the first of them.

    Raises:
        InputError: this machine has it not, or not as many; says what there is.
    """
    import torch

    kind, devices = recipe.trainer.accelerator, recipe.trainer.devices
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    there = {"cuda": cuda, "mps": mps, "gpu": cuda or mps, "cpu": True, "auto": True}
    if not there[kind]:
        raise InputError(
            f"trainer.accelerator is {kind}, and this machine has no such device",
            file=recipe.at("trainer", "accelerator"),
            expected=f"one of: {', '.join(k for k in ('auto', 'cpu', 'cuda', 'mps') if there[k])}",
            found=_what_there_is(),
            remedy="leave trainer.accelerator at auto" + _driver_without_torch(),
        )
    if kind == "auto":
        kind = "mps" if mps else "cuda" if cuda else "cpu"
    elif kind == "gpu":
        kind = "cuda" if cuda else "mps"
    if isinstance(devices, int):
        return torch.device(kind, 0) if kind != "cpu" else torch.device("cpu")
    count = torch.cuda.device_count() if kind == "cuda" else 1 if kind == "mps" else 0
    if max(devices) >= count:
        raise InputError(
            f"there is no device {max(devices)}",
            file=recipe.at("trainer", "devices"),
            expected=f"a number below {count}"
            if count
            else "a GPU; the CPU is one device and has no number",
            found=_what_there_is(),
            remedy="leave trainer.devices at 1" + _driver_without_torch(),
        )
    return torch.device(kind, devices[0])


def device_count(recipe: Recipe) -> int:
    """Count the devices, or on CPUs the processes, that ``trainer.devices`` asks for."""
    devices = recipe.trainer.devices
    return len(devices) if isinstance(devices, tuple) else devices


def check_device(recipe: Recipe) -> None:
    """Refuse devices that do not exist, without importing torch where nothing can be wrong.

    Raises:
        InputError: as for `training_device`; or a device is named twice.
    """
    kind, devices = recipe.trainer.accelerator, recipe.trainer.devices
    if kind not in ("auto", "cpu") or devices != 1:
        first = training_device(recipe)
        _require_devices(recipe, first, device_count(recipe))


def check_launched(recipe: Recipe, local_size: int) -> None:
    """Refuse what does not fit the processes that torchrun or srun started on this machine.

    Raises:
        InputError: there are fewer GPUs than processes, or ``trainer.devices`` says otherwise.
    """
    if device_count(recipe) not in (1, local_size) or isinstance(recipe.trainer.devices, tuple):
        raise InputError(
            "trainer.devices and what started these processes disagree",
            file=recipe.at("trainer", "devices"),
            expected=f"{local_size} on each machine, as torchrun or srun has it, or 1",
            found=str(recipe.trainer.devices),
            remedy=f"leave trainer.devices out, or trainer.devices={local_size}",
        )
    first = training_device(recipe)
    if first.type != "cpu":
        _require_devices(recipe, first, local_size)


def _require_devices(recipe: Recipe, first: torch.device, wanted: int) -> None:
    import torch

    devices = recipe.trainer.devices
    at = recipe.at("trainer", "devices")
    if isinstance(devices, tuple) and len(set(devices)) < len(devices):
        raise InputError("trainer.devices names a device twice", file=at, found=str(list(devices)))
    # Several processes on a CPU serve to try things out: they are meant if the CPU is named.
    if wanted == 1 or (first.type == "cpu" and recipe.trainer.accelerator == "cpu"):
        return
    there = torch.cuda.device_count() if first.type == "cuda" else int(first.type == "mps")
    if wanted > there:
        fewer = f"trainer.devices={max(1, there)}" + _driver_without_torch()
        if not there:
            fewer += "; for processes that share the CPU also trainer.accelerator=cpu"
        raise InputError(
            f"{wanted} devices are asked for, and this process sees {there}",
            file=at,
            found=_what_there_is(),
            remedy=fewer,
        )


def device_name(device: torch.device) -> str:
    """Name a device so that two machines of the same kind share the name."""
    if device.type == "cuda":
        import torch

        properties = torch.cuda.get_device_properties(device)
        return f"{properties.name}, {properties.total_memory / GIB:.0f} GiB"
    limit = memory_limit()
    memory = f", {limit / GIB:.0f} GiB" if limit else ""
    if device.type == "cpu":
        return f"CPU ({platform.machine()}), {usable_cores()} cores{memory}"
    return f"Apple GPU{memory}"


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that a training may still take on a device; ``None`` if nobody knows."""
    if device.type != "cuda":
        return memory_available()
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    # What torch holds and does not use is free, too.
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def _what_there_is() -> str:
    import torch

    names = [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("an Apple GPU (mps)")
    return ", ".join(names) or "the CPU only"


def _driver_without_torch() -> str:
    import torch

    if torch.cuda.is_available() or not shutil.which("nvidia-smi"):
        return ""
    return ", or install a build of torch with CUDA: there is an NVIDIA driver"


def training_precision(recipe: Recipe) -> Any:
    """Return what ``trainer.precision`` comes to: ``auto`` is bf16-mixed where the device gains.

    A GPU gains wherever it computes in bfloat16; a CPU only if that measures faster.
    """
    if recipe.trainer.precision != "auto":
        return recipe.trainer.precision
    import torch

    from medseg.training.precision import bf16_pays_on_cpu

    kind = training_device(recipe).type
    if kind == "cpu":
        return "bf16-mixed" if bf16_pays_on_cpu() else "32"
    native = kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if native else "32"
