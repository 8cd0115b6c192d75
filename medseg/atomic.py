"""Files that are whole or not there."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medseg.errors import InputError


@contextmanager
def replacing(path: Path, *, suffix: str = "") -> Iterator[Path]:
    """Give a temporary name beside ``path``; when the block ends well, it becomes ``path``.

    Args:
        path: the file to write.
        suffix: how the temporary name must end, for writers that go by it.

    Raises:
        InputError: the disk is full or read-only; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp{suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Raises:
        InputError: as for `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def flush(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:  # some network file systems cannot sync a folder
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(handle)


def cannot_write(path: Path, error: OSError) -> InputError:
    """Turn what the system said into what the user can do."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return InputError(
        "there is no space left on the disk" if full else "the file cannot be written",
        file=path,
        expected="a folder with space that you may write to",
        found=error.strerror or str(error),
        remedy="free some space, or choose another folder" if full else "choose another folder",
    )
