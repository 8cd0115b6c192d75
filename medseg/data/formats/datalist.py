"""A datalist: a CSV or JSON file that says where everything is.

CSV, one row per case::

    id,image_T1,image_FLAIR,label,group,fold
    p01,scans/p01_t1.nii.gz,scans/p01_flair.nii.gz,masks/p01.nii.gz,family_3,0

- ``image``, or ``image_<channel>`` for each channel; ``label`` (empty: none);
- ``id`` (default: the first image's name without its suffix);
- ``group``: what must not straddle folds (the patient);
- ``fold``: 0, 1, …: the fold in which the case is validated; or ``split``: ``train``, ``val`` or
  ``test`` (``test`` rows are kept out of training and validation).

Commas, semicolons or tabs. JSON, as MONAI writes it::

    {"training": [{"image": "a.nii.gz", "label": "a_seg.nii.gz", "fold": 0},
                  {"image": ["b_t1.nii.gz", "b_t2.nii.gz"], "label": "b_seg.nii.gz", "fold": 1}],
     "validation": [], "testing": [{"image": "c.nii.gz"}]}

or the list alone. Paths are relative to the file's folder. They may be absolute or lead elsewhere:
unlike a downloaded ``dataset.json`` this file is the user's own. ``data.root`` is the file, or a
folder with one such file (``data.datalist`` names it if there are several).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medseg.data.case import Case
from medseg.data.formats import files
from medseg.data.formats.box_columns import looks_like_boxlist
from medseg.data.formats.channels import rename, select
from medseg.data.formats.layout import Layout, Recognition
from medseg.data.formats.options import FormatOptions
from medseg.data.formats.order import require_one_order
from medseg.data.formats.peek import picture_channels
from medseg.data.formats.rows import (
    EXPECTED,
    Row,
    looks_like_csv,
    looks_like_json,
    read_rows,
)
from medseg.errors import InputError

NAME = "datalist"
LOOKED_FOR = EXPECTED


def recognise(root: Path) -> Recognition | None:
    """Say why ``root`` is, or holds, a datalist, or return ``None``."""
    found = [root] if root.is_file() else _candidates(root)
    if not found:
        return None
    kind = "has a column of images" if found[0].suffix.lower() == ".csv" else "lists cases"
    return Recognition(NAME, f"{found[0]} {kind}")


def read(root: Path, *, channels: Sequence[str] | None, options: FormatOptions) -> Layout:
    """Read a datalist.

    Raises:
        InputError: the file is missing or damaged, a row has no image, files are not there, an id
            occurs twice, the rows have different numbers of images, or file names say that a case
            has its channels in another order.
    """
    source = _find(root, options)
    rows, available = read_rows(source)
    if not rows:
        raise InputError("lists no case", file=source, expected=LOOKED_FOR)
    positions, names = _channels(rows, available, channels, source)
    cases = [_case(row, positions, source) for row in rows]
    wanted = [p for c in cases for p in (*c.images, *([c.label] if c.label else []))]
    files.require_files(wanted, source=source, root=source.parent)
    files.require_unique(cases, source=source)
    if len(names) > 1 and len(cases[0].images) > 1:
        require_one_order({c.id: c.images for c in cases}, names, source=source)
    return Layout(
        cases=tuple(cases), channels=names, splits=_splits(rows, source), notes=_notes(rows)
    )


def group(
    paths: Sequence[Path], *, channels: Sequence[str], options: FormatOptions
) -> tuple[Case, ...]:
    """Read the cases of a datalist; any other file is a case of its own.

    Raises:
        InputError: as `read`.
    """
    cases: list[Case] = []
    for path in paths:
        lists = _candidates(path) if path.is_dir() else []
        if path.suffix.lower() in (".csv", ".json") or lists:
            cases += read(lists[0] if lists else path, channels=channels, options=options).cases
        else:
            images = files.list_images(path) if path.is_dir() else [path]
            cases += [Case(files.stem_of(image), (image,)) for image in images]
    return tuple(Case(c.id, c.images, None, c.group) for c in cases)


def _candidates(root: Path) -> list[Path]:
    found = []
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        if path.name.startswith(".") or path.name == "dataset.json" or not path.is_file():
            continue
        suffix = path.suffix.lower()
        table = suffix == ".csv" and looks_like_csv(path) and not looks_like_boxlist(path)
        if table or (suffix == ".json" and looks_like_json(path)):
            found.append(path)
    return found


def _find(root: Path, options: FormatOptions) -> Path:
    if root.is_file():
        return root
    if options.datalist:
        path = root / options.datalist
        if not path.is_file():
            raise InputError("does not exist", file=path, remedy="correct data.datalist")
        return path
    found = _candidates(root)
    if len(found) != 1:
        raise InputError(
            "holds several datalists" if found else "holds no datalist",
            file=root,
            expected=LOOKED_FOR,
            found=files.first_ten([p.name for p in found]) or None,
            remedy="name the file with data.datalist",
        )
    return found[0]


def _channels(
    rows: Sequence[Row],
    available: tuple[str, ...] | None,
    wanted: Sequence[str] | None,
    source: Path,
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    counts = {len(row.images): row.where for row in rows}
    if len(counts) > 1:
        raise InputError(
            "lists cases with different numbers of images",
            file=source,
            found=", ".join(f"{n} at {where}" for n, where in counts.items()),
        )
    num_images = next(iter(counts))
    if num_images == 1 and (available is None or len(available) == 1):
        first = source.parent / rows[0].images[0]
        return (0,), rename(available or picture_channels(first), wanted, source=source)
    names = available or tuple(f"channel_{i}" for i in range(num_images))
    return select(names, wanted, source=source)


def _case(row: Row, positions: Sequence[int], source: Path) -> Case:
    images = tuple(source.parent / files.from_home(row.images[i]) for i in positions)
    # A test row keeps no label, so that nothing can train on it.
    label = row.label if row.split != "test" else None
    return Case(
        row.id, images, source.parent / files.from_home(label) if label else None, row.group
    )


def _splits(rows: Sequence[Row], source: Path) -> tuple[dict[str, list[str]], ...]:
    labelled = [row for row in rows if row.label and row.split != "test"]
    folded = [row for row in labelled if row.fold is not None]
    if folded:
        if len(folded) < len(labelled):
            absent = next(row for row in labelled if row.fold is None)
            raise InputError(f"{absent.where} has no fold, but others have", file=source)
        return tuple(
            {
                "train": sorted(row.id for row in labelled if row.fold != fold),
                "val": sorted(row.id for row in labelled if row.fold == fold),
            }
            for fold in sorted({row.fold for row in folded if row.fold is not None})
        )
    val = sorted(row.id for row in labelled if row.split == "val")
    if not val:
        return ()
    return ({"train": sorted(r.id for r in labelled if r.split != "val"), "val": val},)


def _notes(rows: Sequence[Row]) -> tuple[str, ...]:
    bare = [row.id for row in rows if row.label is None and row.split != "test"]
    if bare and len(bare) < len(rows):
        return (f"{files.count(len(bare), 'case')} without a label: {files.first_ten(bare)}",)
    return ()
