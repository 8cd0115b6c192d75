"""A box list: a CSV file with a row for each object, as NLST's annotations are passed on.

::

    image,class,xmin,ymin,zmin,xmax,ymax,zmax
    scans/p01.nii.gz,nodule,101,80,33,112,92,38
    scans/p02.nii.gz,,,,,,,

Columns, in any order and case:

- the image: ``image``, ``file``, ``filename``, ``case``, ``id``, ``patientid`` or ``seriesuid``
  (``series_uid``, ``seriesinstanceuid``, ``series_instance_uid``): a path from the file's folder,
  or an image's name, or a DICOM series' number, which is looked for below that folder;
- the class: ``class``, ``class_name``, ``label`` or ``category``; without it all are of one;
- where, in voxels from 0, counted in their edges, of which x and y are columns and rows:
  ``xmin,ymin,xmax,ymax`` (``x_min``, ``x1``, …) or ``x,y,width,height``, and in volumes
  ``zmin,zmax``, or ``z,depth``, or ``slice``; rows of one image with the same ``object``
  (``object_id``, ``nodule_id``, ``lesion_id``) are slices of one object;
- or in mm, as centre and ``diameter_mm``: ``coordX,coordY,coordZ`` in the scanner's LPS, as LUNA16
  has them, or ``x_ras,y_ras,z_ras``;
- ``group``: what must not straddle folds; ``split``: ``train``, ``val`` or ``test``.

A row with nothing behind its image says that there is no object in it. An image without a row is
not part of the data set; images of one name in several folders are called after their paths.
Commas, semicolons or tabs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medseg.data.annotation import Frame
from medseg.data.case import Case
from medseg.data.formats import echonet, files, luna16, series
from medseg.data.formats.box_columns import (
    Columns,
    columns_of,
    looks_like_boxlist,
    require_classes,
)
from medseg.data.formats.box_images import find_images, ids_of
from medseg.data.formats.channels import rename
from medseg.data.formats.drawn import Drawn, gather, numbered, require_sound
from medseg.data.formats.layout import Layout, Recognition
from medseg.data.formats.options import FormatOptions
from medseg.data.formats.peek import picture_channels
from medseg.data.formats.tables import Line, header_of, read_table
from medseg.errors import InputError
from medseg.objects import ObjectRule

NAME = "boxlist"
LOOKED_FOR = (
    "a .csv with a column for the image (image, seriesuid, …) and xmin,ymin,xmax,ymax or "
    "x,y,width,height or coordX,coordY,coordZ,diameter_mm"
)

_STACKED = (".tif", ".tiff")
_SPLITS = ("train", "val", "test")


@dataclass
class _Image:
    """The rows of one image."""

    lines: list[Line] = field(default_factory=list)
    group: str | None = None
    split: str | None = None


def recognise(root: Path) -> Recognition | None:
    """Say why ``root`` is, or holds, a box list, or return ``None``."""
    if root.is_dir() and (luna16.recognise(root) or echonet.recognise(root)):
        return None  # their tables are such lists, too
    found = [root] * looks_like_boxlist(root) if root.is_file() else _candidates(root)
    return Recognition(NAME, f"{found[0]} has a row for each object") if found else None


def read(root: Path, *, channels: Sequence[str] | None, options: FormatOptions) -> Layout:
    """Read a box list.

    Raises:
        InputError: the file is missing or damaged, a row has no image or is no box, an image is not
            there, or a row contradicts another one of its image.
    """
    source = _find(root, options)
    columns = columns_of(header_of(source))
    if columns is None:
        raise InputError(
            "is no box list",
            file=source,
            expected=LOOKED_FOR,
            found=", ".join(header_of(source)) or "no header",
        )
    images = _images(source, columns)
    places = find_images(source, list(images))
    frame: Frame = "spheres" if columns.how in ("lps", "ras") else "voxels"
    require_classes([line for found in images.values() for line in found.lines], columns.kind)
    drawn = {
        name: _drawn(found.lines, columns, places[name])
        for name, found in images.items()
        if found.split != "test"
    }
    for listed in drawn.values():
        require_sound(listed, frame, file=source)
    values = numbered(one.name for found in drawn.values() for one in found)
    order = {name: value - 1 for name, value in values.items()}
    ids = ids_of(places, source.parent)
    cases = [
        Case(
            ids[name],
            (places[name],),
            group=found.group,
            annotation=gather(drawn[name], frame, order, file=source) if name in drawn else None,
        )
        for name, found in images.items()
    ]
    bare = [ids[name] for name, found in drawn.items() if not found]
    first = cases[0].images[0]
    return Layout(
        cases=tuple(cases),
        channels=rename(picture_channels(first), channels, source=source),
        values=values,
        notes=(f"{files.count(len(bare), 'image')} without any object: {files.first_ten(bare)}",)
        if bare
        else (),
        splits=_splits(images, ids),
        objects=ObjectRule("boxes"),
    )


def group(
    paths: Sequence[Path], *, channels: Sequence[str], options: FormatOptions
) -> tuple[Case, ...]:
    """Take each volume, picture and folder of DICOM as a case of its own."""
    return series.group(paths, channels=channels, options=options)


def _candidates(root: Path) -> list[Path]:
    tables = [p for p in sorted(root.iterdir()) if p.is_file() and not p.name.startswith(".")]
    return [path for path in tables if looks_like_boxlist(path)]


def _find(root: Path, options: FormatOptions) -> Path:
    if root.is_file():
        return root
    found = [root / options.datalist] if options.datalist else _candidates(root)
    if len(found) != 1 or not found[0].is_file():
        raise InputError(
            "holds several box lists" if len(found) > 1 else "holds no box list",
            file=root,
            expected=LOOKED_FOR,
            found=files.first_ten([p.name for p in found]) or None,
            remedy="name the file with data.datalist",
        )
    return found[0]


def _images(source: Path, columns: Columns) -> dict[str, _Image]:
    found: dict[str, _Image] = {}
    for line in read_table(source, [columns.image, *columns.where]):
        image = found.setdefault(line.text_in(columns.image), _Image())
        for key in ("group", "split"):
            said = line.cells.get(key, "").strip() or None
            said = said.lower() if said and key == "split" else said
            before = getattr(image, key)
            wrong = key == "split" and said is not None and said not in _SPLITS
            if wrong or (before is not None and said is not None and said != before):
                raise InputError(
                    f"line {line.number}: {key} of {line.cells[columns.image]}",
                    file=source,
                    expected=", ".join(_SPLITS) if wrong else f"{before}, as above",
                    found=str(said),
                )
            setattr(image, key, before or said)
        if any(line.cells[column] for column in columns.where):
            image.lines.append(line)
    if not found:
        raise InputError("lists no image", file=source, expected="a row for each object")
    return found


def _drawn(lines: Sequence[Line], columns: Columns, image: Path) -> list[Drawn]:
    objects: dict[str, Drawn] = {}
    for line in lines:
        name = (columns.kind and line.cells[columns.kind]) or "object"
        numbers = _numbers(line, columns, image)
        one = Drawn(f"line {line.number}", name, numbers)
        # Only a row of an object that is named belongs with others.
        key = (columns.object and line.cells[columns.object]) or one.where
        known = objects.get(key)
        objects[key] = one if known is None else _united(known, one, line)
    return list(objects.values())


def _numbers(line: Line, columns: Columns, image: Path) -> tuple[float, ...]:
    """Return corners in voxel edges, or centre (mm, RAS) and diameter."""
    first, second, third, fourth, *deep = (line.number_in(name) for name in columns.where)
    if columns.how == "ras":
        return (first, second, third, fourth)
    if columns.how == "lps":
        return (-first, -second, third, fourth)
    sized = columns.how == "sized"
    x1, y1 = (first + third, second + fourth) if sized else (third, fourth)
    if not deep:
        return (second, first, y1, x1)
    z0 = deep[0]
    z1 = z0 + (deep[1] if len(deep) > 1 else 1) if sized or len(deep) == 1 else deep[1]
    # A volume's first axis leads along its rows, but that of a stack of pages down its columns.
    if files.suffix_of(image).lower() in _STACKED:
        return (second, first, z0, y1, x1, z1)
    return (first, second, z0, x1, y1, z1)


def _united(one: Drawn, other: Drawn, line: Line) -> Drawn:
    if one.name != other.name or len(one.numbers) % 2 or len(one.numbers) != len(other.numbers):
        raise InputError(
            f"line {line.number} cannot belong to the object of {one.where}",
            file=line.file,
            expected=f"a box of class {one.name}",
            found=other.name,
            remedy="give it a number of its own",
        )
    half = len(one.numbers) // 2
    pairs = list(zip(one.numbers, other.numbers, strict=True))
    numbers = (*(min(pair) for pair in pairs[:half]), *(max(pair) for pair in pairs[half:]))
    return one._replace(numbers=numbers)


def _splits(
    images: Mapping[str, _Image], ids: Mapping[str, str]
) -> tuple[dict[str, list[str]], ...]:
    val = sorted(ids[name] for name, found in images.items() if found.split == "val")
    train = sorted(ids[name] for name, found in images.items() if found.split in (None, "train"))
    return ({"train": train, "val": val},) if val else ()
