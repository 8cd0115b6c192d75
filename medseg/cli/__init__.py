"""The command line: parses arguments, imports what a verb needs, maps errors to exit codes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

from medseg.errors import InputError, Interrupted

# What the system says of a full or closed disk, wherever it comes up.
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)

OK, OUR_FAULT, USER_FAULT, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``medseg`` and return its exit code.

    0: done. 1: a fault of medseg's own, with its traceback. 2: the user's input or machine, with
    what mends it. 130: interrupted by Ctrl-C.
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
    except BrokenPipeError:
        # The reader of our output has gone (`medseg recipes | head`); keep Python from complaining.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            print(f"error: {error.filename or 'a file'}: {error.strerror}", file=sys.stderr)
            print("  remedy: free some space, or choose another folder", file=sys.stderr)
            return USER_FAULT
        import traceback

        traceback.print_exc()
        print("this is a fault of medseg, not yours; please report it", file=sys.stderr)
        return OUR_FAULT
