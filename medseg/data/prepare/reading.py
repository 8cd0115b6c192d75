"""Read the files of a case: channels in order, labels as indices, one grid for all.

Axes: a volume is ``(C, I, J, K)`` in the file's own order; a picture ``(C, I, J)`` with I the row
and J the column; a TIFF of several pages a volume with K the page. A file of several channels is a
4D NIfTI (channels last; MSD Task01), a vector NRRD or MetaImage, or an RGB picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medseg.data.case import Case, LabelVolume, Volume
from medseg.data.prepare.masks import by_colour, undeclared
from medseg.data.prepare.pictures import in_colour
from medseg.data.prepare.raw import PICTURES, Raw, load, suffix
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.labels import LabelScheme


@dataclass(frozen=True)
class ImageInfo:
    """What else is known of an image; `Volume.header`.

    Attributes:
        files: in the order of the channels.
        dtype: type of the stored values; files that differ are joined with ``+``.
        notes: what is odd about the files, in words.
    """

    files: tuple[Path, ...]
    dtype: str
    notes: tuple[str, ...] = ()


def read_image(
    case: Case | Sequence[Path | str] | Path | str, *, channels: int | None = None
) -> Volume:
    """Read an image as float32 ``(C, I, J, K)`` or ``(C, I, J)``.

    Args:
        case: a case, a file, or one file per channel, in order.
        channels: how many there must be; ``None`` takes what there is.

    Raises:
        InputError: a file cannot be read, holds NaN or infinite values, another number of channels,
            or lies on another grid than the first (tolerance: `Grid.mismatch`).
    """
    paths = _paths(case)
    raws = [in_colour(load(path)) for path in paths]
    for raw, path in zip(raws[1:], paths[1:], strict=True):
        check_same_grid(raw.grid, path, like=raws[0].grid, like_file=paths[0])
    return to_volume(raws, paths, channels=channels)


def to_volume(
    raws: Sequence[Raw], paths: tuple[Path, ...], *, channels: int | None = None
) -> Volume:
    """Join what the files of a case hold, on one grid, as float32 channels; see `read_image`."""
    if len(paths) > 1 or channels == 1:
        raws = [one_channel(raw, path) for raw, path in zip(raws, paths, strict=True)]
    found = sum(len(raw.data) for raw in raws)
    if channels is not None and found != channels:
        raise InputError(
            "the case has another number of channels than the data set",
            file=paths[0],
            expected=f"{channels} channels",
            found=f"{found} in {len(paths)} file{'s' if len(paths) > 1 else ''}",
            remedy="check data.channels, and that each case has all its files",
        )
    data = np.empty((found, *raws[0].grid.shape), dtype=np.float32)
    first = 0
    for raw, path in zip(raws, paths, strict=True):
        part = data[first : first + len(raw.data)]
        with np.errstate(over="ignore"):
            part[...] = raw.data
        check_finite(part, path)
        first += len(raw.data)
    kinds = dict.fromkeys(raw.dtype for raw in raws)
    notes = dict.fromkeys(note for raw in raws for note in raw.notes)
    return Volume(data, raws[0].grid, ImageInfo(paths, "+".join(kinds), tuple(notes)))


def read_label(
    path: Path | str,
    scheme: LabelScheme,
    *,
    value_map: Mapping[int, int] | None = None,
    like: Grid | Volume | None = None,
) -> LabelVolume:
    """Read a mask as uint8 label indices ``(I, J, K)`` or ``(I, J)``.

    Args:
        path: the file; whole numbers may be stored as floats, off by up to 0.01.
        scheme: the declared labels.
        value_map: file value -> label value, applied first (``{255: 1}``, or by colour ``{0xff0000:
            1}``).
        like: the image, or its grid, that the mask must share (tolerance: `Grid.mismatch`).

    Raises:
        UndeclaredValues: the file has values that are not declared.
        InputError: the file cannot be read, or lies on another grid.
    """
    path = Path(path)
    return label_volume(load_mask(path, value_map), path, scheme, value_map=value_map, like=like)


def load_mask(path: Path, value_map: Mapping[int, int] | None = None) -> Raw:
    """Load a mask's file as one channel of numbers; colours become 0xRRGGBB.

    Raises:
        InputError: see `medseg.data.prepare.raw.load`; or the file has several channels.
    """
    return one_channel(by_colour(load(path), path, value_map or {}), path)


def label_volume(
    raw: Raw,
    path: Path,
    scheme: LabelScheme,
    *,
    value_map: Mapping[int, int] | None = None,
    like: Grid | Volume | None = None,
) -> LabelVolume:
    """Turn what `load_mask` gave into label indices; see `read_label`."""
    if like is not None:
        grid = like.grid if isinstance(like, Volume) else like
        file = like.header.files[0] if isinstance(like, Volume) and like.header else None
        check_same_grid(raw.grid, path, like=grid, like_file=file, what="label")
    values = raw.data[0]
    check_finite(values, path)
    values = mapped(values, value_map or {})
    try:
        index = scheme.to_index(values)
    except InputError as error:
        drawn = undeclared(raw, values, scheme)
        # A colour is explained by its own picture; numbers may be another year's: see `census`.
        kind = type(error) if drawn is None else InputError
        named = drawn or error
        raise kind(
            error.message,
            file=path,
            expected=error.expected,
            found=named.found,
            remedy=named.remedy,
        ) from None
    return LabelVolume(index, raw.grid)


def check_same_grid(
    grid: Grid, file: Path, *, like: Grid, like_file: Path | None, what: str = "file"
) -> None:
    """Refuse a file whose grid is not that of the image.

    Raises:
        InputError: naming both files, both shapes and affines, and the tolerance.
    """
    difference = like.mismatch(grid)
    if difference is None:
        return
    subject = "image and label" if what == "label" else "the channels of this case"
    other = "the image" if like_file is None else like_file
    remedy = "check that the files belong together; resample the one that is off"
    if grid.ndim == 2 and grid.shape == like.shape[::-1]:
        remedy = "one of them is turned by 90 degrees (EXIF rotation?): turn the mask as the image"
    raise InputError(
        f"{subject} do not lie on the same grid: {difference}",
        file=file,
        expected=f"{_describe(like)}, as {other}",
        found=_describe(grid),
        remedy=remedy,
    )


def _paths(case: Case | Sequence[Path | str] | Path | str) -> tuple[Path, ...]:
    if isinstance(case, Case):
        return case.images
    if isinstance(case, Path | str):
        return (Path(case),)
    return tuple(Path(path) for path in case)


def one_channel(raw: Raw, path: Path) -> Raw:
    """Accept grey stored as equal colours; refuse real colours."""
    if len(raw.data) == 1:
        return raw
    first = raw.data[:1]
    picture = raw.grid.ndim == 2 or suffix(path) in PICTURES
    if picture and all(np.array_equal(first[0], other) for other in raw.data[1:]):
        return Raw(first, raw.grid, raw.dtype, (*raw.notes, "grey stored as colours"))
    if picture:
        what = "colours"
        remedy = "declare data.channels: [R, G, B], or convert the pictures to grey"
    else:
        what, remedy = "channels", "declare as many data.channels"
    raise InputError(
        f"the file holds {len(raw.data)} {what}, where one is wanted",
        file=path,
        expected="one number per voxel",
        found=f"shape {raw.data.shape[1:]} with {len(raw.data)} {what}",
        remedy=remedy,
    )


def mapped(values: np.ndarray, value_map: Mapping[int, int]) -> np.ndarray:
    """Replace a file's values by those that a value map gives them."""
    if not value_map:
        return values
    rounded = values if values.dtype.kind in "iub" else np.rint(values)
    # A wider type than the file's: a map may lead out of uint8 ({1: 300}) or below 0.
    out = values.astype(np.result_type(values.dtype, np.int32))
    for old, new in value_map.items():
        mask = rounded == old
        if rounded is not values:
            mask &= np.abs(values - rounded) <= 0.01
        out[mask] = new
    return out


def check_finite(values: np.ndarray, path: Path) -> None:
    """Refuse NaN and infinite values.

    Raises:
        InputError: saying how many there are.
    """
    if values.dtype.kind != "f" or np.isfinite(values.sum(dtype=np.float64)):
        return
    nan = int(np.isnan(values).sum())
    infinite = int(np.isinf(values).sum())
    if not nan and not infinite:
        return
    parts = [f"{n} {word}" for n, word in ((nan, "NaN"), (infinite, "infinite")) if n]
    raise InputError(
        "the image has voxels that are not finite numbers",
        file=path,
        expected="finite values",
        found=f"{' and '.join(parts)} of {values.size} voxels",
        remedy="replace them in the source, for example with 0 outside the body",
    )


def _describe(grid: Grid) -> str:
    rows = "; ".join(" ".join(f"{v:.4g}" for v in row) for row in grid.affine[:-1])
    return f"shape {grid.shape}, affine [{rows}]"
