"""Files that are whole or not there, whoever else writes them."""

from __future__ import annotations

import errno
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medseg.errors import InputError

_STALE_SECONDS = 3600.0


@contextmanager
def replacing(path: Path, *, suffix: str = "") -> Iterator[Path]:
    """Give a temporary name beside ``path``; when the block ends well, it becomes ``path``.

    Args:
        path: the file to write.
        suffix: how the temporary name must end, for writers that go by it.

    Raises:
        InputError: the disk is full or read-only; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{signature()}.tmp{suffix}")
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


@contextmanager
def locked(folder: Path, name: str = ".lock", *, patience: float = -1) -> Iterator[None]:
    """Let one process and thread at a time change what files of a folder say.

    For what is read, changed and written: with `write_text` alone, of two changes one is lost. The
    system releases the lock of a process that dies.

    Args:
        folder: made if it is not there.
        name: of the file that is locked.
        patience: seconds to wait for others; below 0: as long as they take.

    Raises:
        InputError: as for `replacing`.
        TimeoutError: another process holds the lock.
    """
    from filelock import FileLock

    file = folder / name
    lock = FileLock(file, timeout=patience)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except TimeoutError:
        raise
    except OSError as error:
        raise cannot_write(file, error) from error
    try:
        yield
    finally:
        lock.release()


def signature() -> str:
    """Name this process and a moment of it, for what it leaves behind if it is killed."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def abandoned(path: Path) -> bool:
    """Tell what nobody will finish: the process of its `signature` has ended, or it is an hour old.

    Raises:
        OSError: the path is gone.
    """
    if time.time() - path.stat().st_mtime > _STALE_SECONDS:
        return True
    found = re.search(rf"{re.escape(socket.gethostname())}-(\d+)-[0-9a-f]+", path.name)
    if found is None:
        return False
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def is_temporary(path: Path) -> bool:
    """Tell by its name what `replacing` writes into, and a lock."""
    return path.name.startswith(".") and (".tmp" in path.suffixes or path.name.endswith(".lock"))


def sweep(folder: Path) -> None:
    """Remove the temporary files of a folder that killed processes left."""
    for left in folder.glob(".*.tmp*"):
        with suppress(OSError):
            if abandoned(left):
                left.unlink()


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
    remedy = "free some space, or choose another folder" if full else "choose another folder"
    if error.errno == errno.EFBIG:
        remedy = "allow larger files (ulimit -f), or choose another folder"
    return InputError(
        "there is no space left on the disk" if full else "the file cannot be written",
        file=path,
        expected="a folder with space that you may write to",
        found=error.strerror or str(error),
        remedy=remedy,
    )
