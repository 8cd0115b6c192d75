"""Read a file of `torch.save` that may come from anywhere."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from medseg.errors import InputError


def load_tensors(path: Path) -> Any:
    """Return a torch file's content, tensors memory-mapped on the CPU, without running any code.

    Raises:
        InputError: the file is absent, cut off, of another type, or holds Python objects.
    """
    if not path.is_file():
        raise InputError(
            "there is no such checkpoint" if not path.exists() else "a checkpoint is a file",
            file=path,
            expected="a .ckpt file",
        )
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise InputError("the checkpoint cannot be read", file=path, found=str(error)) from error
    if not zipfile.is_zipfile(path):
        # torch writes zip archives, whose table of contents comes last.
        cut = start.startswith(b"PK\x03\x04") or not start
        raise InputError(
            "the checkpoint is cut off" if cut else "this is not a checkpoint",
            file=path,
            expected="a file that torch.save wrote",
            found=f"{path.stat().st_size} bytes without an end" if cut else _kind(start),
            remedy="copy it again, or take the other one (best.ckpt, last.ckpt)" if cut else None,
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            "the checkpoint holds Python objects, which could run code when loaded",
            file=path,
            expected="tensors and plain values only, as medseg writes them",
            found=_reason(error),
        ) from error
    except (RuntimeError, OSError, EOFError, KeyError, ValueError) as error:
        raise InputError(
            "this is not a checkpoint, or it is damaged",
            file=path,
            expected="a file that torch.save wrote",
            found=str(error).strip().splitlines()[0][:200] if str(error).strip() else None,
        ) from error


def _kind(start: bytes) -> str:
    known = {
        b"\x1f\x8b": "a gzip file",
        b"\x89HDF": "an HDF5 file",
        b"\x89PNG": "a PNG picture",
        b"\x80": "a pickle, or a file of an old torch",
    }
    for magic, name in known.items():
        if start.startswith(magic):
            return name
    return "text" if start.isascii() and start.decode().isprintable() else "another file type"


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if "Unsupported" in line]
    lines += [line.strip() for line in str(error).splitlines() if "GLOBAL" in line]
    return lines[0][:200] if lines else "unknown types"
