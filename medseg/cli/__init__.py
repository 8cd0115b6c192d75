"""The command line: parses arguments, imports what a verb needs, maps errors to exit codes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

from medseg.errors import InputError, Interrupted

OK, OUR_FAULT, USER_FAULT, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``medseg`` and return its exit code.

    0: done. 1: a fault of medseg's own, with its traceback. 2: the user's input, with what mends
    it.
    130: interrupted by Ctrl-C.
    """
    try:
        from medseg.cli.parser import parse

        arguments = parse(argv)
        return arguments.act(arguments) or OK
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_FAULT
    except Interrupted as error:
        print(f"\n{error}", file=sys.stderr)
        return INTERRUPTED
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            return _reader_gone()
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            return _our_fault()
        print(f"error: {error.filename or 'a file'}: {error.strerror}", file=sys.stderr)
        print("  remedy: free some space, or choose another folder", file=sys.stderr)
        return USER_FAULT
    except Exception:
        return _our_fault()


def _our_fault() -> int:
    import traceback

    traceback.print_exc()
    print("this is a fault of medseg, not yours; please report it", file=sys.stderr)
    return OUR_FAULT


def _reader_gone() -> int:
    """Keep Python from complaining when the reader of our output stops (``medseg … | head``)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return OK
