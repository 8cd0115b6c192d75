"""Run a command and watch it with all its processes: time, processor time, peak memory.

Memory is read from ``/proc`` every tenth of a second, of the command and everything it started, and
added up. ``pss`` counts a page that several processes share once (what the machine really gives);
``rss`` counts it for each of them. A peak shorter than the interval may be missed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

INTERVAL = 0.1


class Usage(NamedTuple):
    """What a command took.

    Attributes:
        seconds: wall time, from starting the interpreter to its end.
        cpu: processor time of all its processes, to a tenth of a second each.
        pss, rss: peak memory of the tree in MB, see above; 0 where there is no ``/proc``.
        output: the end of what it printed.
    """

    seconds: float
    cpu: float
    pss: float
    rss: float
    output: str


def measure(command: Sequence[object], *, environment: Mapping[str, str] | None = None) -> Usage:
    """Run a command to its end.

    Raises:
        SystemExit: it failed; shows the end of what it printed.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in command],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    peaks = {"Pss": 0, "Rss": 0}
    spent: dict[int, float] = {}
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(process.pid, peaks, spent, ended), daemon=True)
    watcher.start()
    assert process.stdout is not None
    lines = process.stdout.read().splitlines()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    ended.set()
    watcher.join()
    tail = "\n".join(lines[-20:])
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nended with {process.returncode}\n{tail}")
    # The system's sum lacks processes whose parent did not wait for them, such as a fork server's.
    cpu = max(used.ru_utime + used.ru_stime, sum(spent.values()))
    return Usage(seconds, cpu, peaks["Pss"] / 1024, peaks["Rss"] / 1024, tail)


def _watch(
    root: int, peaks: dict[str, int], spent: dict[int, float], ended: threading.Event
) -> None:
    while not ended.wait(INTERVAL):
        total = dict.fromkeys(peaks, 0)
        for process in _tree(root):
            spent[process] = max(spent.get(process, 0.0), _cpu(process))
            for name, kilobytes in _memory(process).items():
                total[name] += kilobytes
        for name, value in total.items():
            peaks[name] = max(peaks[name], value)


def _tree(root: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(folder.name))
        if fields:
            parents.setdefault(int(fields[1]), []).append(int(folder.name))
    found, todo = [], [root]
    while todo:
        found.append(todo.pop())
        todo += parents.get(found[-1], [])
    return found


def _stat(process: int) -> list[str]:
    """Give the fields of ``/proc/PID/stat`` that follow the name, which may hold anything."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu(process: int) -> float:
    fields = _stat(process)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def _memory(process: int) -> dict[str, int]:
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return {}
    fields = (line.split() for line in text.splitlines()[1:])
    return {f[0][:-1]: int(f[1]) for f in fields if f[0] in ("Pss:", "Rss:")}
