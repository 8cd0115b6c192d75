"""The images that a box list names: by a path, by their name, or by a series' number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from medseg.data.formats import files, naming, series
from medseg.errors import InputError


def find_images(source: Path, names: Sequence[str]) -> dict[str, Path]:
    """Find the files, or folders of DICOM, that are meant.

    Args:
        source: the list; paths count from its folder, and names are looked for below it.
        names: as the list has them.

    Raises:
        InputError: one is not there, or is the name of several; or two mean one image.
    """
    places = {name: source.parent / files.from_home(name) for name in names}
    missing = [n for n, p in places.items() if not files.is_there(p) and not series.is_series(p)]
    if missing:
        known = _by_name(source, missing)
        places |= {name: known[name] for name in missing if name in known}
        missing = [name for name in missing if name not in known]
    if missing:
        raise InputError(
            f"is of {files.count(len(missing), 'image')} that cannot be found",
            file=source,
            expected=f"a path from {source.parent}, a name or a series' number below it",
            found=f"missing: {files.first_ten([name[:100] for name in missing])}",
            remedy="complete the download, or remove the rows",
        )
    _require_one_name(places, source)
    return places


def ids_of(places: Mapping[str, Path], base: Path) -> dict[str, str]:
    """Name each image after its file, or where several are called alike, after its path.

    Args:
        places: name in the list -> file, or folder of DICOM.
        base: where paths count from.
    """
    named = {name: _id(name, place) for name, place in places.items()}
    often = naming.repeated(named.values())
    return {
        name: naming.path_id(places[name], base) if known in often else known
        for name, known in named.items()
    }


def _id(name: str, place: Path) -> str:
    return place.name if place.is_dir() and "/" in name else files.stem_of(Path(name).name) or name


def _by_name(source: Path, wanted: Sequence[str]) -> dict[str, Path]:
    known: dict[str, list[Path]] = {}
    for path in files.walk_images(source.parent, depth=3):
        for key in {path.name, files.stem_of(path)}:
            known.setdefault(key, []).append(path)
    if any(name not in known for name in wanted):
        for folder, header in series.find(source.parent).items():
            for key in {header.series, folder.name}:
                known.setdefault(key, []).append(folder)
    twice = next((name for name in wanted if len(known.get(name, ())) > 1), None)
    if twice is not None:
        raise InputError(
            f"names {twice}, of which there are several",
            file=source,
            expected="a path, where names are not enough",
            found=files.first_ten([str(path) for path in known[twice]]),
        )
    return {name: paths[0] for name, paths in known.items()}


def _require_one_name(places: Mapping[str, Path], source: Path) -> None:
    """Refuse two names of one image: each would have only some of its boxes."""
    owners: dict[Path, str] = {}
    for name, place in places.items():
        other = owners.setdefault(place.resolve(), name)
        if other != name:
            raise InputError(
                "names one image in two ways",
                file=source,
                expected="the same name in each of its rows",
                found=f"{other} and {name}, both {place.resolve()}",
                remedy="write one of them throughout",
            )
