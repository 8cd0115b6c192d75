"""Is this machine ready: versions, devices, memory, disk, and what mends what is missing."""

from __future__ import annotations

import os
import platform
import re
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from medseg.machine import memory_limit, usable_cores
from medseg.tracking.wandb_mode import choose_mode


@dataclass(frozen=True)
class Check:
    """One thing looked at: what it is, what was found, and the remedy if it is not well."""

    name: str
    found: str
    remedy: str | None = None


def run(folder: Path = Path()) -> list[Check]:
    """Look at the machine; disk space is that of ``folder``."""
    checks = [Check("python", platform.python_version())]
    checks += [_package(name) for name in _packages()]
    checks += [_torch_release(), _devices(), _cores(), _memory(), _disk(folder), _wandb_key()]
    return checks


def to_json(checks: list[Check]) -> list[dict[str, Any]]:
    """Return plain containers."""
    return [asdict(check) for check in checks]


def _package(name: str) -> Check:
    try:
        return Check(name, version(name))
    except PackageNotFoundError:
        return Check(name, "missing", f"pip install '{name}'")


def _torch_release() -> Check:
    try:
        release = version("torch")
    except PackageNotFoundError:
        return Check("torch release", "missing", "pip install torch")
    if release.startswith("2.9."):
        remedy = "pip install 'torch!=2.9.*': its 3D convolutions are many times slower"
        return Check("torch release", release, remedy)
    return Check("torch release", "no known trouble")


def _devices() -> Check:
    try:
        import torch
    except ImportError:
        return Check("devices", "unknown: torch is missing", "pip install torch")
    if torch.cuda.is_available():
        found = []
        for i in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(i)
            name = torch.cuda.get_device_name(i)
            found.append(f"cuda:{i} {name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free")
        return Check("devices", "; ".join(found))
    if torch.backends.mps.is_available():
        return Check("devices", "Apple GPU (mps)")
    if shutil.which("nvidia-smi"):
        remedy = "this build of torch has no CUDA: install the one for your driver"
        return Check("devices", "an NVIDIA driver, but torch sees no GPU", remedy)
    return Check("devices", "CPU only")


def _cores() -> Check:
    return Check("cores", f"{usable_cores()} usable of {os.cpu_count()}")


def _memory() -> Check:
    limit = memory_limit()
    if limit is None:
        return Check("memory", "unknown")
    remedy = "close other programs, or use a smaller plan.patch_size" if limit < 4 * 2**30 else None
    return Check("memory", f"{limit / 2**30:.1f} GiB", remedy)


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    remedy = "free some space, or set run_dir to another disk" if free < 5 * 2**30 else None
    return Check("disk", f"{free / 2**30:.1f} GiB free in {folder.resolve()}", remedy)


def _wandb_key() -> Check:
    mode, reason = choose_mode(offline=False)
    remedy = "to send them: wandb login" if mode == "offline" else None
    return Check("W&B", f"runs are {mode}" + (f": {reason}" if reason else ""), remedy)


def _packages() -> list[str]:
    """List what medseg itself requires, optional extras apart."""
    lines = [line for line in requires("medseg") or [] if "extra ==" not in line]
    return sorted(re.split(r"[^A-Za-z0-9._-]", line)[0] for line in lines)
