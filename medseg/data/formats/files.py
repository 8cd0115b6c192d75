"""What every data format does with files: list, name, read JSON, refuse what leaves the folder."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from medseg.data.case import Case
from medseg.errors import InputError

IMAGE_SUFFIXES = (
    ".nii.gz",
    ".nii",
    ".nrrd",
    ".nhdr",
    ".mha",
    ".mhd",
    ".png",
    ".jpg",
    ".jpeg",
    ".tif",
    ".tiff",
    ".bmp",
    ".gif",
)
# Of what FFmpeg reads, what machines export.
VIDEO_SUFFIXES = (".avi", ".mp4", ".m4v", ".mov", ".mkv")
CONVERT = "this is DICOM: convert it to NIfTI first, for instance with dcm2niix"


def stem_of(path: str | Path) -> str:
    """Return the file name without its image suffix (``a.b.nii.gz`` -> ``a.b``)."""
    name = os.path.basename(path)  # noqa: PTH119  a Path for each of ten thousand takes a second
    return name[: len(name) - len(suffix_of(name))]


def suffix_of(path: str | Path) -> str:
    """Return the image suffix as written (``.nii.gz``, ``.PNG``), or an empty string."""
    name = os.path.basename(path)  # noqa: PTH119
    lower = name.lower()
    found = next((s for s in IMAGE_SUFFIXES if lower.endswith(s)), "")
    return name[len(name) - len(found) :] if found else ""


def is_image(path: str | Path) -> bool:
    """Tell whether a name is an image's; the ``._name`` companions that macOS writes are not."""
    name = os.path.basename(path)  # noqa: PTH119
    return not name.startswith(".") and bool(suffix_of(name))


def is_video(path: str | Path) -> bool:
    """Tell whether a name is a video's."""
    name = os.path.basename(path)  # noqa: PTH119
    return not name.startswith(".") and name.lower().endswith(VIDEO_SUFFIXES)


def image_names(folder: Path) -> list[str]:
    """Return the names of the images directly in ``folder``, sorted; empty if it is not there."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as found:
        return sorted(item.name for item in found if is_image(item.name) and not item.is_dir())


def list_images(folder: Path) -> list[Path]:
    """Return the images directly in ``folder``, sorted by name; empty if it does not exist."""
    return [folder / name for name in image_names(folder)]


def list_videos(folder: Path) -> list[Path]:
    """Return the videos directly in ``folder``, sorted by name."""
    return sorted(path for path in folder.iterdir() if is_video(path) and not path.is_dir())


def walk_images(root: Path, *, depth: int) -> list[Path]:
    """Return the images at most ``depth`` folders below ``root``, sorted.

    Links are followed, since large data sets are often linked together; ``depth`` ends any cycle.
    """
    found: list[Path] = []
    for folder, subfolders, names in os.walk(root, followlinks=True):
        here = Path(folder)
        level = len(here.relative_to(root).parts)
        subfolders[:] = sorted(d for d in subfolders if not d.startswith(".") and level < depth)
        found += [here / name for name in names if is_image(name)]
    return sorted(found)


def is_there(path: Path) -> bool:
    """Tell whether a path is a file; one that is too long to be any is none."""
    return os.path.isfile(path)  # noqa: PTH113  Path.is_file raises where a name is too long


def from_home(text: str) -> Path:
    """Return a path whose ``~`` is the user's home, as it is written where nobody is called so."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: it cannot be opened, is not text, is not JSON, or has a number of more digits
            than Python reads; the position is named.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError("cannot be opened", file=path, found=str(error.strerror)) from error
    except json.JSONDecodeError as error:
        raise InputError(
            "is not JSON",
            file=path,
            found=f"{error.msg} at line {error.lineno}, column {error.colno}",
            remedy="check that the file was copied whole",
        ) from error
    except (ValueError, RecursionError) as error:  # no text, too deep, a number without end
        raise InputError(
            "is not JSON",
            file=path,
            found=str(error).partition(";")[0],
            remedy="check that the file was copied whole",
        ) from error


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that must hold an object; raises as `read_json` does."""
    state = read_json(path)
    if not isinstance(state, dict):
        raise InputError(
            "is not a data set description",
            file=path,
            expected="a JSON object",
            found=type(state).__name__,
        )
    return state


def inside(root: Path, text: Any, *, source: Path) -> Path:
    """Join a path that a downloaded file gives to its folder.

    The check is on the path as written: a link *inside* the folder is the user's own doing.

    Raises:
        InputError: the path is not text, is absolute, or leaves ``root``.
    """
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise InputError(
            "a file entry is not a path", file=source, expected="text", found=repr(text)[:80]
        )
    relative = os.path.normpath(text.strip().replace("\\", "/"))
    if relative.startswith("/") or relative.split("/")[0] == ".." or relative[1:2] == ":":
        raise InputError(
            "lists a path that leaves the data set's folder",
            file=source,
            expected=f"paths below {root}",
            found=repr(text),
        )
    return root / relative


def require_files(paths: Iterable[Path], *, source: Path, root: Path) -> None:
    """Raise one InputError that names the files that are missing: the first ten and their count."""
    absent = [p for p in paths if not os.path.isfile(p)]  # noqa: PTH113
    if absent:
        names = [str(p.relative_to(root)) if p.is_relative_to(root) else str(p) for p in absent]
        raise InputError(
            f"lists {count(len(absent), 'file')} that cannot be found",
            file=source,
            found=f"missing: {first_ten(names)}",
            remedy=f"complete the download; the paths were looked up below {root}",
        )


def require_unique(cases: Sequence[Case], *, source: Path) -> None:
    """Raise an InputError that names the ids which occur more than once."""
    seen = Counter(case.id for case in cases)
    twice = [name for name, times in seen.items() if times > 1]
    if twice:
        where = [str(c.images[0]) for c in cases if c.id == twice[0]]
        raise InputError(
            f"has {count(len(twice), 'case id')} more than once",
            file=source,
            expected="one entry per case",
            found=f"{first_ten(twice)} (for instance {first_ten(where)})",
        )


def no_image(where: Path, *, named: str, remedy: str | None = None) -> InputError:
    """Say that a folder holds no image, what it holds instead, and how DICOM is converted.

    Args:
        where: the folder.
        named: how images there are called.
        remedy: where it is no matter of DICOM.
    """
    there = sorted(p.name for p in where.iterdir()) if where.is_dir() else []
    return InputError(
        "holds no image",
        file=where,
        expected=named,
        found=first_ten(there) or "nothing",
        remedy=CONVERT if holds_dicom(where) else remedy,
    )


def holds_dicom(folder: Path) -> bool:
    """Tell whether one of the first files in a folder, or below it, is DICOM."""
    return any(map(_is_dicom, islice(folder.rglob("*"), 50)))


def _is_dicom(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def require_folder(root: Path) -> Path:
    """Return ``root`` if it is a folder with something in it, else raise an InputError."""
    if not root.exists():
        parent = next(p for p in root.absolute().parents if p.exists())
        raise InputError(
            "does not exist",
            file=root,
            expected="the folder of a data set",
            found=f"{parent} exists" + (", but not what follows" if parent != root.parent else ""),
            remedy="correct data.root",
        )
    if not root.is_dir():
        raise InputError("is a file", file=root, expected="the folder of a data set")
    if not any(not p.name.startswith(".") for p in root.iterdir()):
        raise InputError("is empty", file=root, expected="the folder of a data set")
    return root


def as_mapping(value: Any, *, key: str, source: Path) -> dict[str, Any]:
    """Return ``value`` as a dict; ``None`` counts as empty.

    Raises:
        InputError: it is something else.
    """
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {str(k): v for k, v in value.items()}
    raise InputError(
        f"{key!r} must be an object", file=source, expected="{…}", found=repr(value)[:80]
    )


def as_int(value: Any, *, what: str, source: Path | None = None) -> int:
    """Return a whole number given as number or text (JSON keys are text).

    Raises:
        InputError: it is not one.
    """
    try:
        number = int(value)
        if isinstance(value, bool) or number != float(value):
            raise ValueError
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{what} must be a whole number", file=source, found=repr(value)[:80]
        ) from error
    return number


def first_ten(items: Sequence[object]) -> str:
    """Join the first ten items with commas and say how many more there are."""
    shown = ", ".join(str(item) for item in items[:10])
    return shown + (f" … and {len(items) - 10} more" if len(items) > 10 else "")


def count(number: int, noun: str) -> str:
    """Return ``"1 file"``, ``"3 files"``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
