"""Processes that stand or fall together: one that fails ends the others, with its own message."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from medseg.errors import InputError, Interrupted
from medseg.ranks import AnotherRankFailed

_PAUSE = 0.1
_LAST_WORDS_SECONDS = 5.0  # for those that notice by themselves that another one is gone
_TERM_SECONDS = 10.0


@dataclass(frozen=True)
class Failure:
    """How a process ended.

    Attributes:
        kind: ``input``: a mistake of the user's; ``interrupted``; ``lost``: another process was
            gone; ``fault``: anything else.
        text: the message; of a fault the traceback.
    """

    kind: Literal["input", "interrupted", "lost", "fault"]
    text: str


def reporting(act: Callable[[], None], file: Path) -> int:
    """Call ``act``, note how it fails in ``file`` for `supervise`, and return an exit code."""
    try:
        act()
        return 0
    except InputError as error:
        failure, code = Failure("input", str(error)), 2
    except (Interrupted, KeyboardInterrupt) as error:
        failure, code = Failure("interrupted", str(error)), 130
    except AnotherRankFailed as error:
        failure, code = Failure("lost", str(error)), 1
    except Exception:
        failure, code = Failure("fault", traceback.format_exc()), 1
    with suppress(OSError):
        file.write_text(json.dumps(asdict(failure)), encoding="utf-8")
    return code


def failure_file(folder: Path, number: int) -> Path:
    """Name the file in which process ``number`` notes how it failed."""
    return folder / f"failure_{number}.json"


def supervise(
    processes: Sequence[subprocess.Popen], folder: Path, logs: Sequence[Path | None]
) -> None:
    """Wait until all processes are done; end the others once one fails.

    A Ctrl-C, or SIGTERM, of this process asks them to stop at the next safe point, and waits until
    they have; a second one ends them at once.

    Args:
        processes: each the first of a session of its own.
        folder: where they note how they fail, see `reporting`.
        logs: the file that holds what each says, if it has one.

    Raises:
        InputError: a mistake of the user's, in the words of the process that met it, or one was
            killed.
        Interrupted: they were stopped.
        RuntimeError: a fault, with its traceback.
    """
    try:
        while all(process.poll() in (None, 0) for process in processes):
            if all(process.returncode == 0 for process in processes):
                return
            time.sleep(_PAUSE)
        _wait(processes, _LAST_WORDS_SECONDS)
        ended = {i: p.returncode for i, p in enumerate(processes) if p.returncode}
        end(processes)
    except (KeyboardInterrupt, Interrupted):
        _stop(processes)
        raise
    except BaseException:
        end(processes)
        raise
    raise _cause(ended, folder, logs)


def _cause(ended: dict[int, int], folder: Path, logs: Sequence[Path | None]) -> Exception:
    """Tell the cause from what followed from it: those that lost another one come last."""
    found: list[tuple[int, Exception]] = []
    for number, code in ended.items():
        failure, log = _read(failure_file(folder, number)), logs[number]
        which = f"process {number} of {len(logs)}"
        if failure is None:
            found.append((1, _killed(which, code, log)))
        elif failure.kind == "input":
            found.append((0, InputError(failure.text)))
        elif failure.kind == "interrupted":
            found.append((2, Interrupted(failure.text or "stopped")))
        else:
            words = f"{which} of the training failed:\n{failure.text}"
            found.append((4 if failure.kind == "lost" else 3, RuntimeError(words)))
    return min(found, key=lambda one: one[0])[1]


def _killed(which: str, code: int, log: Path | None) -> InputError:
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return InputError(
        f"{which} of the training ended without a word ({name})",
        file=log,
        remedy="if the system killed it, memory ran out: fewer trainer.devices, data.cache=disk, "
        "or fewer data.workers",
    )


def _read(file: Path) -> Failure | None:
    try:
        return Failure(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _stop(processes: Sequence[subprocess.Popen]) -> None:
    """Ask for an end at the next safe point, however long it takes."""
    try:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
    finally:
        _kill(processes)


def end(processes: Sequence[subprocess.Popen]) -> None:
    """End what still runs: one that waits for a process that is gone does not hear a request."""
    for process in processes:
        process.terminate()
    _wait(processes, _TERM_SECONDS)
    _kill(processes)


def _wait(processes: Sequence[subprocess.Popen], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and any(process.poll() is None for process in processes):
        time.sleep(_PAUSE)


def _kill(processes: Sequence[subprocess.Popen]) -> None:
    for process in processes:
        if process.poll() is None:
            # With the workers that it started: its session is its own.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
