"""The command line: parses arguments, imports what a verb needs, maps errors to exit codes."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from medseg.errors import InputError, Interrupted
from medseg.ranks import AnotherRankFailed

# What the system says of a full or closed disk, wherever it comes up.
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)

OK, OUR_FAULT, USER_FAULT, INTERRUPTED = 0, 1, 2, 130


@contextmanager
def _terminable() -> Iterator[None]:
    """End at SIGTERM as at Ctrl-C: with a word, and with everything tidied up."""
    owner = os.getpid()

    def stop(number: int, frame: Any) -> None:
        if os.getpid() != owner:  # a worker that was forked dies as it always did
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise Interrupted("stopped by SIGTERM")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``medseg`` and return its exit code.

    0: done. 1: a fault of medseg's own, with its traceback. 2: the user's input or machine, with
    what mends it. 130: interrupted by Ctrl-C.
    """

    def act() -> int | None:
        from medseg.cli.parser import parse

        arguments = parse(argv)
        return arguments.act(arguments)

    return guarded(act)


def guarded(act: Callable[[], int | None]) -> int:
    """Call ``act``, say what went wrong, and return an exit code as `main` does."""
    try:
        with _terminable():
            return act() or OK
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_FAULT
    except Interrupted as error:
        print(f"\n{error}", file=sys.stderr)
        return INTERRUPTED
    except AnotherRankFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return OUR_FAULT
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`medseg recipes | head`); keep Python from complaining.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            print(f"error: {error.filename or 'a file'}: {error.strerror}", file=sys.stderr)
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            remedy = "free some space" if full else "get the permission for it"
            print(f"  remedy: {remedy}, or choose another folder", file=sys.stderr)
            return USER_FAULT
        import traceback

        traceback.print_exc()
        print("this is a fault of medseg, not yours; please report it", file=sys.stderr)
        return OUR_FAULT
