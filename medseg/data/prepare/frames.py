"""The frames of a video, or the pages of a TIFF, as pictures: one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from medseg.data.case import Volume
from medseg.data.formats.files import is_video
from medseg.data.prepare.pictures import each_page, in_colour
from medseg.data.prepare.raw import Raw
from medseg.data.prepare.reading import to_volume
from medseg.data.prepare.video import frames
from medseg.errors import InputError
from medseg.geometry import Grid


def each_frame(path: Path, *, channels: int) -> Iterator[Volume]:
    """Read one frame after the other as a picture, float32 ``(C, I, J)``; one is in memory.

    A page is read as a picture file is. Of a video one channel is what trainings on frames see (see
    `medseg.data.prepare.video.grey_frames`), three are red, green and blue. One pixel counts as one
    millimetre.

    Args:
        path: a video or a TIFF.
        channels: how many there must be.

    Raises:
        InputError: the file cannot be read, is cut short or holds no frame; frames differ in size;
            another number of channels; see `medseg.data.prepare.video.frames`.
    """
    first = None
    for raw in _video(path, channels) if is_video(path) else each_page(path):
        first = first or raw.grid.shape
        if raw.grid.shape != first:
            raise InputError(
                "the frames of this file differ in size, so their masks are no stack",
                file=path,
                expected=f"{first[0]} x {first[1]} pixels, as the first",
                found=f"{raw.grid.shape[0]} x {raw.grid.shape[1]}",
                remedy="write each part of one size to a file of its own",
            )
        yield to_volume([in_colour(raw)], (path,), channels=channels)


def _video(path: Path, channels: int) -> Iterator[Raw]:
    if channels not in (1, 3):
        raise InputError(
            "a video has one channel (grey) or three (red, green, blue)",
            file=path,
            expected=f"the {channels} channels that the network takes",
        )
    for frame in frames(path, colour=channels == 3):
        data = np.moveaxis(frame, -1, 0) if channels == 3 else frame[None]
        yield Raw(data, Grid.from_spacing(data.shape[1:], (1.0, 1.0)), "uint8")
