"""Single frames of a video, through PyAV, which is an optional dependency."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from medseg.errors import InputError


def grey_frames(path: Path, numbers: Iterable[int]) -> dict[int, np.ndarray]:
    """Decode some frames of a video as grey pictures, uint8 ``(I, J)``: rows before columns.

    Args:
        path: the video, of any container and codec that FFmpeg knows.
        numbers: of the frames, from 0.

    Raises:
        InputError: PyAV is not installed; the file is no video, or has fewer frames.
    """
    av = _pyav()
    wanted = set(numbers)
    found: dict[int, np.ndarray] = {}
    decoded = 0
    try:
        with av.open(str(path)) as video:
            for number, frame in enumerate(video.decode(video=0)):
                decoded = number + 1
                if number in wanted:
                    found[number] = frame.to_ndarray(format="gray")
                if len(found) == len(wanted):
                    break
    except (av.FFmpegError, IndexError, OSError, ValueError) as error:
        raise InputError(
            "the video cannot be read; it is damaged, cut short, or of another format",
            file=path,
            found=f"{type(error).__name__}: {error}",
            remedy="fetch the file again",
        ) from error
    missing = sorted(wanted - found.keys())
    if missing:
        raise InputError(
            f"the video has no frame {missing[0]}",
            file=path,
            expected=f"more than {missing[-1]} frames, counted from 0",
            found=f"{decoded} frames",
            remedy="fetch the file again, or check the table that speaks of the frame",
        )
    return found


def _pyav() -> Any:
    try:
        import av
    except ImportError as error:
        raise InputError(
            "reading videos needs PyAV, which is not installed",
            expected="the package av",
            remedy="pip install 'medseg[video]', or: pip install av",
        ) from error
    return av
