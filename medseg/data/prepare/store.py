"""A folder of entries, each whole or absent, however many processes share it and are killed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medseg.atomic import abandoned, cannot_write, signature, sweep
from medseg.data.prepare.entry import verify
from medseg.data.prepare.space import disk_full, is_full
from medseg.errors import InputError

_TEMPORARY = ".tmp-"


class Cache:
    """A folder of entries.

    Args:
        root: made when the first entry is written.

    Raises:
        InputError: something else is there.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        if (self.root.exists() or self.root.is_symlink()) and not self.root.is_dir():
            raise InputError(
                "the cache is not a folder",
                file=self.root,
                found="a link to nowhere" if self.root.is_symlink() else "a file",
                remedy="remove it, or choose another folder with run_dir=FOLDER",
            )

    def name(self, case_id: str, key: str) -> str:
        """Name an entry."""
        safe = re.sub(r"[^A-Za-z0-9._-]+", "_", case_id)[:80].lstrip(".") or "case"
        return f"{safe}-{key[:24]}"

    @contextmanager
    def writing(self, final: Path) -> Iterator[Path]:
        """Give an empty folder that becomes the entry ``final`` when the block ends well.

        Raises:
            DiskFull: nothing is left behind; nor is it with any other
            InputError: the disk is read-only.
        """
        temporary = self.root / f"{_TEMPORARY}{signature()}"
        try:
            temporary.mkdir(parents=True)
            yield temporary
            self._publish(temporary, final)
        except OSError as error:
            if is_full(error):
                raise disk_full(self.root, needed=f"more, to write {final.name}") from error
            raise cannot_write(final, error) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def remove(self, name: str) -> None:
        """Remove an entry at once: a reader sees it whole or not at all."""
        aside = self.root / f"{_TEMPORARY}{signature()}"
        with suppress(OSError):
            (self.root / name).rename(aside)
        shutil.rmtree(aside, ignore_errors=True)

    def _publish(self, temporary: Path, final: Path) -> None:
        for _ in range(10):
            try:
                temporary.rename(final)
                return
            except OSError:
                if not final.is_dir():
                    raise
            if verify(final):  # another process was faster
                return
            # Memory maps of the old files stay readable: their inodes live until they are closed.
            aside = temporary.with_name(f"{temporary.name}.old")
            with suppress(FileNotFoundError):
                final.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        raise OSError(f"{final} keeps coming back damaged")

    def sweep(self) -> None:
        """Remove what killed processes left: of processes that ended, or an hour old."""
        for left in self.root.glob(f"{_TEMPORARY}*"):
            with suppress(OSError):
                if abandoned(left):
                    shutil.rmtree(left, ignore_errors=True)
        sweep(self.root)
