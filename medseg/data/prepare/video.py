"""Frames of a video, through PyAV, which is an optional dependency."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from medseg.data.prepare.raw import damage_told
from medseg.errors import InputError


def frames(path: Path, *, colour: bool = False) -> Iterator[np.ndarray]:
    """Decode one frame after the other, uint8 ``(I, J)``: rows before columns; one is in memory.

    Args:
        path: the video, of any container and codec that FFmpeg knows.
        colour: give red, green and blue ``(I, J, 3)`` instead of grey.

    Raises:
        InputError: PyAV is not installed; the file is no video, of an unknown codec or cut short.
    """
    av = _pyav()
    decoded = 0
    with damage_told(path), av.open(str(path)) as video:
        stream = _stream(video, path)
        for frame in video.decode(stream):
            yield frame.to_ndarray(format="rgb24" if colour else "gray")
            decoded += 1
        # Of an AVI FFmpeg gives what there is. Other containers also count frames that they hide.
        if decoded == 0 or (video.format.name == "avi" and decoded < stream.frames):
            raise InputError(
                "the video is cut short" if decoded else "the video holds no frame",
                file=path,
                expected=f"{stream.frames or 'some'} frames",
                found=str(decoded),
                remedy="fetch the file again; or, if no more were recorded, write it anew: "
                "ffmpeg -i OLD.avi NEW.avi",
            )


def grey_frames(path: Path, numbers: Iterable[int]) -> dict[int, np.ndarray]:
    """Decode some frames of a video as grey pictures, uint8 ``(I, J)``: rows before columns.

    Args:
        path: see `frames`.
        numbers: of the frames, from 0.

    Raises:
        InputError: see `frames`; or the video has fewer frames.
    """
    wanted = set(numbers)
    found: dict[int, np.ndarray] = {}
    decoded = 0
    for number, frame in enumerate(frames(path)):
        decoded = number + 1
        if number in wanted:
            found[number] = frame
        if len(found) == len(wanted):
            break
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


def _stream(video: Any, path: Path) -> Any:
    """Return what holds the pictures."""
    if not video.streams.video:
        raise InputError("the video holds no pictures", file=path, found="sound or text only")
    stream = video.streams.video[0]
    if stream.codec_context is None:
        raise InputError(
            "the video's codec is not known",
            file=path,
            expected="one that FFmpeg decodes, such as Motion JPEG or H.264",
            remedy="export the video with another codec",
        )
    return stream


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
