"""EchoNet-Dynamic's traced frames as pictures and masks, which a datalist lists."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from medseg.atomic import cannot_write, replacing
from medseg.data.formats.echonet import LIST, LOOKED_FOR, TRACINGS, Chord, Video, videos
from medseg.data.prepare.video import grey_frames
from medseg.data.splits import evenly
from medseg.errors import InputError

FRAMES = "frames.csv"


def extract(
    root: Path,
    folder: Path,
    *,
    few: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[str, ...]:
    """Cut the traced frames out of the videos and draw their masks.

    Writes ``frames/`` and ``masks/`` (0 and 1) as PNG and, last of all, ``frames.csv``: a datalist
    with the data set's own splits. What is there already is not written again.

    Args:
        root: EchoNet-Dynamic's folder.
        folder: where to; made if it is not there.
        few: cut only so many videos, to see what they are like; the list then names their pictures
            for the frames of the others, too. For a folder that nothing is trained from.
        progress: called with (videos done, videos in all).

    Returns:
        What was odd about the data set, in words.

    Raises:
        InputError: PyAV is not installed; see `medseg.data.formats.echonet.videos`; a video is
            damaged; a tracing has too few chords, or none of them on the frame.
    """
    found, notes = videos(root)
    target = folder / FRAMES
    if target.is_file():
        return notes
    some = found if few is None else evenly(found, few)
    pictures: dict[str, list[tuple[str, str]]] = {}
    for done, video in enumerate(some):
        if progress is not None:
            progress(done, len(some))
        pictures[video.name] = _write(video, folder)
    stand_in = next(iter(pictures.values()))
    rows = [
        (_name(video, number), *shown[i % len(shown)], video.name, video.split)
        for video in found
        for shown in (pictures.get(video.name, stand_in),)
        for i, number in enumerate(sorted(video.tracings))
    ]
    with replacing(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("id", "image", "label", "group", "split"))
        table.writerows(rows)
    if progress is not None:
        progress(len(some), len(some))
    return notes


def state_of(root: Path) -> str:
    """Hash the two tables, which say what is extracted.

    Raises:
        InputError: one is missing.
    """
    try:
        contents = b"\0".join((root / name).read_bytes() for name in (LIST, TRACINGS))
    except OSError as error:
        raise InputError(
            "is not EchoNet-Dynamic's folder",
            file=root,
            expected=LOOKED_FOR,
            found=f"{error.filename}: {error.strerror}",
            remedy="correct data.root",
        ) from error
    return hashlib.blake2b(contents, digest_size=4).hexdigest()


def ventricle(chords: Sequence[Chord], shape: tuple[int, int]) -> np.ndarray:
    """Draw the mask of a tracing, uint8 ``(I, J)``: I the row (y), J the column (x).

    As the authors do it: the outline runs along one end of the chords and back along the other, the
    long axis left out, its corners rounded to whole pixels; what lies on it belongs to it.
    """
    ends = np.rint(np.array(chords[1:], dtype=np.float64))
    outline = np.concatenate([ends[:, :2], ends[::-1, 2:]])
    return inside_polygon(outline[:, 1], outline[:, 0], shape).astype(np.uint8)


def inside_polygon(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Tell which pixel centres lie inside a polygon or on its outline, bool ``(I, J)``.

    A ray from an inner point crosses the outline an odd number of times.
    """
    i, j = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    odd = np.zeros(shape, dtype=bool)
    outline = np.zeros(shape, dtype=bool)
    corners = zip(rows, columns, np.roll(rows, -1), np.roll(columns, -1), strict=True)
    for i0, j0, i1, j1 in corners:
        side = (i1 - i0) * (j - j0) - (j1 - j0) * (i - i0)
        between = (i >= min(i0, i1)) & (i <= max(i0, i1)) & (j >= min(j0, j1)) & (j <= max(j0, j1))
        outline |= between & (np.abs(side) < 1e-9)
        crossed = (i0 > i) != (i1 > i)
        odd ^= crossed & ((side > 0) == (i1 > i0))
    return odd | outline


def _name(video: Video, number: int) -> str:
    return f"{video.name}_{number:03d}"


def _write(video: Video, folder: Path) -> list[tuple[str, str]]:
    """Write a video's traced frames and their masks; return their paths within the folder."""
    from PIL import Image

    written = []
    pictures = grey_frames(video.path, video.tracings)
    for number, chords in sorted(video.tracings.items()):
        if len(chords) < 4:
            raise InputError(
                f"frame {number} of {video.name} is traced with too few chords",
                file=video.path,
                expected="the long axis and three chords across it, or more",
                found=str(len(chords)),
                remedy=f"mend or remove its rows in {TRACINGS}",
            )
        mask = ventricle(chords, pictures[number].shape)  # type: ignore[arg-type]
        if not mask.any():
            raise InputError(
                f"the tracing of frame {number} of {video.name} lies outside the frame",
                file=video.path,
                expected=f"x below {mask.shape[1]}, y below {mask.shape[0]}",
                found=f"chords such as {chords[1]}",
            )
        name = _name(video, number)
        paths = f"frames/{name}.png", f"masks/{name}.png"
        try:
            for path, array in zip(paths, (pictures[number], mask), strict=True):
                # Not flushed one by one: until the list is there, all of them are made anew.
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(folder / path)
        except OSError as error:
            raise cannot_write(folder, error) from error
        written.append(paths)
    return written
