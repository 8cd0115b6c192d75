"""Checkpoints that are whole or absent: written beside, synced, renamed; read without pickle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from medseg.atomic import replacing


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
        with replacing(Path(path)) as beside, beside.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:
                raise _cause(error) from None

    def load_checkpoint(
        self, path: str | os.PathLike, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read ``path`` with ``weights_only=True``, whatever the caller asks for."""
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)


def _cause(error: RuntimeError) -> Exception:
    """Find the system's error behind torch's: its zip writer fails a second time while closing."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    return cause or error
