"""Do one thing for every case, in processes, and name every case that fails."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import (
    current_process,
    get_all_start_methods,
    get_context,
    parent_process,
)
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import Event
from threading import Thread
from typing import Any, TypeVar

from medseg.errors import InputError, InputErrors, MedsegError

Result = TypeVar("Result")
Progress = Callable[[int, int], None]

# With a process per core, threads inside each only get in each other's way.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_ITK_THREADS = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"
_PRELOADED = (
    "medseg.data.prepare.cache",
    "medseg.data.prepare.fingerprint",
    "medseg.data.prepare.nifti",
    "nibabel",
)
# Jobs handed out per worker: none waits for the next, and ten thousand do not lie in memory.
_AHEAD = 4


def map_cases(
    function: Callable[..., Result],
    jobs: Sequence[tuple[str, tuple[Any, ...]]],
    *,
    workers: int = 0,
    progress: Progress | None = None,
    keep: Callable[[int, Result], None] | None = None,
    fatal: tuple[type[InputError], ...] = (),
) -> list[Result]:
    """Call ``function(*arguments)`` for every job; the results come in the order of the jobs.

    Args:
        function: importable by name, so that a fresh process finds it.
        jobs: ``(case id, arguments)``; with workers, the arguments are pickled.
        workers: processes; 0 or 1 works in this one. A script that uses more needs the usual
            ``if __name__ == "__main__":``.
        progress: called in this process with (cases done, cases in all).
        keep: given (number of the job, result) as each comes in, in any order; nothing is returned
            then, so that memory does not grow with the jobs.
        fatal: mistakes that end the work at once.

    Raises:
        InputError: the user's mistake, if one case failed by it; `InputErrors` for several. All
            cases are tried first, unless it is ``fatal``.
        MedsegError: anything else that went wrong, with the case's id and the original exception
            as its cause.
    """
    results: dict[int, Result] = {}
    mistakes: dict[int, InputError] = {}
    source = _here(function, jobs) if workers <= 1 else _spread(function, jobs, workers)
    for done, (position, outcome) in enumerate(source, start=1):
        if isinstance(outcome, fatal):
            source.close()
            raise outcome
        if isinstance(outcome, InputError):
            mistakes[position] = _named(outcome, jobs[position][0])
        elif isinstance(outcome, Exception):
            raise MedsegError(
                f"case {jobs[position][0]}: {type(outcome).__name__}: {outcome}"
            ) from outcome
        elif keep is not None:
            keep(position, outcome)
        else:
            results[position] = outcome
        if progress is not None:
            progress(done, len(jobs))
    if len(mistakes) == 1:
        raise next(iter(mistakes.values()))
    if mistakes:
        raise InputErrors(mistakes[position] for position in sorted(mistakes))
    return [] if keep is not None else [results[position] for position in range(len(jobs))]


def _here(
    function: Callable[..., Result], jobs: Sequence[tuple[str, tuple]]
) -> Generator[tuple[int, Any], None, None]:
    for position, (_, arguments) in enumerate(jobs):
        try:
            yield position, function(*arguments)
        except Exception as error:
            yield position, error


def _spread(
    function: Callable[..., Result], jobs: Sequence[tuple[str, tuple]], workers: int
) -> Generator[tuple[int, Any], None, None]:
    context = _context()
    if getattr(current_process(), "_inheriting", False):
        # This is a worker, running the user's script to find functions in it, and the script has no
        # guard. multiprocessing would print a page of advice here, once for each worker.
        os._exit(1)
    with _single_threaded():
        count = min(workers, len(jobs) or 1)
        began = context.Event()
        pool = ProcessPoolExecutor(
            count, mp_context=context, initializer=_begin_worker, initargs=(began,)
        )
        try:
            futures: dict[Future, int] = {}
            for position, (_, arguments) in enumerate(jobs):
                if len(futures) >= _AHEAD * count:
                    yield from _finished(futures, jobs, began)
                with deaf_to_interrupts():
                    future = pool.submit(function, *arguments)
                futures[future] = position
            while futures:
                yield from _finished(futures, jobs, began)
        except (BrokenProcessPool, EOFError, ConnectionError) as error:
            raise _died(began, found=f"{len(jobs)} cases to do") from error
        finally:
            # Also the way out of Ctrl-C: what has not started is dropped.
            pool.shutdown(wait=True, cancel_futures=True)


def _context() -> BaseContext:
    """Choose how processes are started.

    Forking a process that runs torch's threads can hang; a fresh one cannot. Where the system can,
    one fresh process imports what is needed, once, and the workers are forked from it: the first
    pool starts in a third of the time, the next at once, and the modules are in memory once.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(["__main__", *_PRELOADED])
    return context


def _finished(
    futures: dict[Future, int], jobs: Sequence[tuple[str, tuple]], began: Event
) -> Iterator[tuple[int, Any]]:
    """Wait until one is done at least, and take out those that are."""
    for future in wait_for(futures, return_when=FIRST_COMPLETED).done:
        position = futures.pop(future)
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            found = f"{jobs[position][0]}, or one of the {len(futures)} cases beside it"
            raise _died(began, found=found) from error
        yield position, error if error is not None else future.result()


def _died(began: Event, *, found: str) -> InputError:
    if began.is_set():
        return InputError(
            "a worker process was killed while it prepared a case",
            found=found,
            remedy="it is usually memory: use fewer workers (data.workers=1)",
        )
    return InputError(
        "the worker processes ended before they began",
        found="a script whose work is not under a guard: each worker runs it again",
        remedy='put what it does under `if __name__ == "__main__":`, or use workers=0',
    )


def _begin_worker(began: Event) -> None:
    began.set()
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
def deaf_to_interrupts() -> Iterator[None]:
    """Start processes that do not hear Ctrl-C; this one hears it when the block ends.

    Ctrl-C reaches every process of the terminal; interrupted while they start, workers would print
    tracebacks of their own.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
