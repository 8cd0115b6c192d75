"""What this process may use of the machine."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_SELF = Path("/proc/self")


def usable_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def within_cores(workers: int) -> tuple[int, str | None]:
    """Limit a number of processes to the usable cores; the second value says so, where it does."""
    cores = usable_cores()
    if workers <= cores:
        return workers, None
    there, them = ("is 1 core", "1 is") if cores == 1 else (f"are {cores} cores", f"{cores} are")
    return cores, f"data.workers is {workers}, but there {there}: {them} used"


def memory_limit() -> int | None:
    """Return the bytes of memory that this process may use: the machine's, or its cgroup's."""
    limits = [limit for limit, _ in _cgroups()]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(limits, default=None)


def memory_available() -> int | None:
    """Return the bytes that this process may still take before the machine or its cgroup is full.

    Files that the system keeps in memory count as free: it gives them up.
    """
    free = [limit - used for limit, used in _cgroups()]
    with suppress(OSError, AttributeError):
        text = Path("/proc/meminfo").read_text()
        free.append(int(re.search(r"MemAvailable:\s+(\d+) kB", text)[1]) * 1024)  # type: ignore[index]
    return max(0, min(free)) if free else memory_limit()


def room_for(size: int, free: int) -> bool:
    """Say whether data may stay in memory of which ``free`` bytes are left: below a quarter.

    What else will need memory, a training and other processes, is not known beforehand.
    """
    return size < free / 4


def give_back_freed_memory() -> None:
    """Give memory that this process freed, and kept for later, back to the system; glibc only."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def resident_memory() -> int:
    """Return the bytes of memory that this process holds; 0 where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        return int((_SELF / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def peak_memory(*, restart: bool = False) -> int:
    """Return the most bytes that this process has held, since the last ``restart`` where possible.

    Args:
        restart: count from now on. Linux can; elsewhere the peak is that of the whole process.
    """
    if restart:
        with suppress(OSError):
            (_SELF / "clear_refs").write_text("5")
    with suppress(OSError, TypeError):
        found = re.search(r"VmHWM:\s+(\d+) kB", (_SELF / "status").read_text())
        return int(found[1]) * 1024  # type: ignore[index]
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _cgroups() -> list[tuple[int, int]]:
    """Give (limit, used) of every cgroup around this process that has a limit, versions 1 and 2."""
    own, first = _own_cgroups(), _CGROUP / "memory"
    names = (
        (_CGROUP, own.get("", "/"), "memory.max", "memory.current"),
        (first, own.get("memory", "/"), "memory.limit_in_bytes", "memory.usage_in_bytes"),
    )
    found = []
    for root, path, limit, used in names:
        here = root / path.lstrip("/")
        # In a container the path is that of the host, and only the root is there.
        for folder in dict.fromkeys((here, *here.parents, root)):
            if folder != root and root not in folder.parents:
                continue
            with suppress(OSError, ValueError):
                most, held = (int((folder / name).read_text()) for name in (limit, used))
                found.append((most, max(0, held - _cached(folder))))
    return found


def _own_cgroups() -> dict[str, str]:
    """Map controllers to this process's groups; version 2 has one for all, under no name."""
    own: dict[str, str] = {}
    with suppress(OSError, ValueError):
        for line in (_SELF / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            own |= dict.fromkeys(controllers.split(","), path)
    return own


def _cached(folder: Path) -> int:
    """Give the bytes of files that a cgroup holds; version 1 lists those of its children last."""
    with suppress(OSError):
        text = (folder / "memory.stat").read_text()
        found = re.findall(r"^(?:total_)?(?:in)?active_file (\d+)", text, re.MULTILINE)
        return sum(int(n) for n in found[-2:])
    return 0
