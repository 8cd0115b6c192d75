"""Do one thing for every case, in processes, and name every case that fails."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from threading import Thread
from typing import Any, TypeVar

from medseg.errors import InputError, InputErrors, MedsegError

Result = TypeVar("Result")
Progress = Callable[[int, int], None]

# With a process per core, threads inside each only get in each other's way.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_ITK_THREADS = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"


def map_cases(
    function: Callable[..., Result],
    jobs: Sequence[tuple[str, tuple[Any, ...]]],
    *,
    workers: int = 0,
    progress: Progress | None = None,
) -> list[Result]:
    """Call ``function(*arguments)`` for every job; the results come in the order of the jobs.

    Args:
        function: importable by name, so that a fresh process finds it.
        jobs: ``(case id, arguments)``; with workers, the arguments are pickled.
        workers: processes; 0 or 1 works in this one. A script that uses more needs the usual
            ``if __name__ == "__main__":``.
        progress: called in this process with (cases done, cases in all).

    Raises:
        InputError: the user's mistake, if one case failed by it; `InputErrors` for several. All
            cases are tried first.
        MedsegError: anything else that went wrong, with the case's id and the original exception
            as its cause.
    """
    results: dict[int, Result] = {}
    mistakes: dict[int, InputError] = {}
    source = _here(function, jobs) if workers <= 1 else _spread(function, jobs, workers)
    for done, (position, outcome) in enumerate(source, start=1):
        if isinstance(outcome, InputError):
            mistakes[position] = _named(outcome, jobs[position][0])
        elif isinstance(outcome, Exception):
            raise MedsegError(
                f"case {jobs[position][0]}: {type(outcome).__name__}: {outcome}"
            ) from outcome
        else:
            results[position] = outcome
        if progress is not None:
            progress(done, len(jobs))
    if len(mistakes) == 1:
        raise next(iter(mistakes.values()))
    if mistakes:
        raise InputErrors(mistakes[position] for position in sorted(mistakes))
    return [results[position] for position in range(len(jobs))]


def _here(
    function: Callable[..., Result], jobs: Sequence[tuple[str, tuple]]
) -> Iterator[tuple[int, Any]]:
    for position, (_, arguments) in enumerate(jobs):
        try:
            yield position, function(*arguments)
        except Exception as error:
            yield position, error


def _spread(
    function: Callable[..., Result], jobs: Sequence[tuple[str, tuple]], workers: int
) -> Iterator[tuple[int, Any]]:
    # Forking a process that runs torch's threads can hang; a fresh one cannot.
    context = get_context("spawn")
    with _single_threaded():
        count = min(workers, len(jobs) or 1)
        pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin_worker)
        try:
            futures: dict[Future, int] = {
                pool.submit(function, *arguments): position
                for position, (_, arguments) in enumerate(jobs)
            }
            for future in as_completed(futures):
                position = futures.pop(future)
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    raise InputError(
                        "a worker process was killed while it prepared a case",
                        found=f"{len(futures) + 1} cases not done, {jobs[position][0]} among them",
                        remedy="it is usually memory: use fewer workers (data.workers=1)",
                    ) from error
                yield position, error if error is not None else future.result()
        finally:
            # Also the way out of Ctrl-C: what has not started is dropped.
            pool.shutdown(wait=True, cancel_futures=True)


def _begin_worker() -> None:
    # Ctrl-C reaches every process of the terminal; the parent's answer is enough.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A pool's workers outlive a parent that is killed: each holds the queue open for the others.
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _single_threaded() -> Iterator[None]:
    names = (*_THREADS, _ITK_THREADS)
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _named(error: InputError, case_id: str) -> InputError:
    named = InputError(
        f"case {case_id}: {error.message}",
        file=error.file,
        expected=error.expected,
        found=error.found,
        remedy=error.remedy,
    )
    named.__cause__ = error.__cause__
    return named
