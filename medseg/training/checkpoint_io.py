"""Checkpoints that are whole or absent: written beside, synced, renamed; read without pickle."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from medseg.errors import InputError


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes to a file beside the target, syncs it to disk and renames it over the target.

    At any moment, a kill or a full disk included, the target is the old checkpoint or the new one.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike, storage_options: Any = None
    ) -> None:
        """Write ``checkpoint`` to ``path``.

        Raises:
            InputError: the disk is full or the folder cannot be written; the old file is untouched.
        """
        target = Path(path)
        beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
            _sync_folder(target.parent)
        except (OSError, RuntimeError) as error:
            # torch reports a failed write as a RuntimeError of its zip writer.
            beside.unlink(missing_ok=True)
            raise _explain(error, target) from error
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    def load_checkpoint(
        self, path: str | os.PathLike, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read ``path`` with ``weights_only=True``, whatever the caller asks for."""
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable; not every platform can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explain(error: Exception, target: Path) -> Exception:
    """Find the system's error behind torch's: its zip writer fails a second time while closing."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return error
    if cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(
            "the checkpoint does not fit on the disk",
            file=target,
            remedy="free some space and resume; the previous checkpoint is untouched",
        )
    return InputError(f"the checkpoint cannot be written ({cause.strerror})", file=target)
