"""Pascal VOC: pictures, and for each an XML file of boxes.

::

    BCCD/
      JPEGImages/BloodImage_00000.jpg
      Annotations/BloodImage_00000.xml    <object><name>, <bndbox> of each
      ImageSets/Main/train.txt            optional: ids, and val.txt, trainval.txt, test.txt

VOC counts pixels from 1 and includes the last: ``xmin 1, xmax 4`` are the first four columns.
``val.txt`` validates what the other lists train on, ``test.txt`` is kept out of the training; where
there are lists, a picture that none names is left out. A picture without
an XML file, or whose file names no object, has none. Objects that are ``difficult`` count in no
score.

Source: Everingham et al. 2010, doi 10.1007/s11263-009-0275-4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from medseg.data.case import Case
from medseg.data.formats import datalist, files, naming
from medseg.data.formats.channels import rename
from medseg.data.formats.drawn import Drawn, gather, numbered, require_sound, shape_of
from medseg.data.formats.layout import Layout, Recognition
from medseg.data.formats.markup import number_of, read_xml, text_of
from medseg.data.formats.options import FormatOptions
from medseg.data.formats.peek import picture_channels
from medseg.errors import InputError
from medseg.geometry.boxes import from_voc
from medseg.objects import ObjectRule

NAME = "voc"
LOOKED_FOR = "the folders JPEGImages/ and Annotations/*.xml"
IMAGES, ANNOTATIONS, LISTS = "JPEGImages", "Annotations", Path("ImageSets/Main")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def recognise(root: Path) -> Recognition | None:
    """Say why ``root`` is a VOC folder, or return ``None``."""
    if not (root / IMAGES).is_dir() or not _documents(root):
        return None
    return Recognition(NAME, f"{root} has the folders {IMAGES}/ and {ANNOTATIONS}/ with XML files")


def read(root: Path, *, channels: Sequence[str] | None, options: FormatOptions) -> Layout:
    """Read a VOC folder.

    Raises:
        InputError: an XML file is damaged, describes what is no box, or belongs to no picture; two
            pictures have one name; a list names a picture that is not there, or one picture both in
            train and in val.
    """
    pictures = naming.by_stem(files.list_images(root / IMAGES), source=root / IMAGES)
    documents = naming.by_stem(_documents(root), source=root / ANNOTATIONS, stem=lambda p: p.stem)
    if not pictures or not documents:
        raise InputError(
            "holds no pictures with annotations",
            file=root,
            expected=LOOKED_FOR,
            found=f"{len(pictures)} pictures, {len(documents)} XML files",
            remedy="complete the download",
        )
    _require_pictures(documents, pictures, root)
    lists = _lists(root, pictures)
    tests = set(lists.get("test", ())) - {i for k, ids in lists.items() if k != "test" for i in ids}
    known = {i for ids in lists.values() for i in ids} or set(pictures)
    pages = {name: _page(documents[name]) for name in sorted(known - tests) if name in documents}
    drawn = {name: page.drawn for name, page in pages.items()}
    values = numbered(one.name for found in drawn.values() for one in found)
    order = {name: value - 1 for name, value in values.items()}
    cases = [
        Case(
            name,
            (pictures[name],),
            annotation=None
            if name in tests
            else gather(
                drawn.get(name, ()),
                "voxels",
                order,
                file=documents.get(name),
                shape=pages[name].shape if name in pages else None,
            ),
        )
        for name in sorted(known)
    ]
    return Layout(
        cases=tuple(cases),
        channels=rename(picture_channels(cases[0].images[0]), channels, source=root),
        values=values,
        notes=_notes(drawn, known - tests, pictures.keys() - known),
        splits=_splits(lists),
        objects=ObjectRule("boxes"),
    )


def group(
    paths: Sequence[Path], *, channels: Sequence[str], options: FormatOptions
) -> tuple[Case, ...]:
    """Take each picture as a case of its own."""
    return datalist.group(paths, channels=channels, options=options)


def _documents(root: Path) -> list[Path]:
    folder = root / ANNOTATIONS
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [p for p in found if p.suffix.lower() == ".xml" and not p.name.startswith(".")]


class _Page(NamedTuple):
    """What an XML file says of its picture: its objects, and rows and columns."""

    drawn: list[Drawn]
    shape: tuple[int, ...] | None


def _page(path: Path) -> _Page:
    """Read the objects of one picture, their corners in voxel edges ``(row, column)``."""
    document = read_xml(path)
    if document.tag.lower() != "annotation":
        raise InputError(
            "is no annotation of Pascal VOC",
            file=path,
            expected="<annotation> around everything",
            found=f"<{document.tag}>"[:80],
            remedy="export it as Pascal VOC; without any <object> its picture has none",
        )
    found = []
    for number, element in enumerate(document.iter("object"), start=1):
        where = f"object {number}"
        name = text_of(element, "name", file=path, what=where)
        box = [number_of(element, f"bndbox/{corner}", file=path, what=where) for corner in _CORNERS]
        difficult = (element.findtext("difficult") or "0").strip() == "1"
        found.append(Drawn(where, name, tuple(from_voc([box])[0].tolist()), difficult))
    require_sound(found, "voxels", file=path)
    return _Page(found, _shape(document, path))


def _shape(document: Element, path: Path) -> tuple[int, ...] | None:
    sides = ("size/height", "size/width")
    if any(document.find(side) is None for side in sides):
        return None
    return shape_of(*(number_of(document, side, file=path, what="the picture") for side in sides))


def _require_pictures(documents: Mapping[str, Path], there: Mapping[str, Path], root: Path) -> None:
    alone = [path.name for name, path in documents.items() if name not in there]
    if alone:
        raise InputError(
            f"{files.count(len(alone), 'annotation')} without a picture",
            file=root / ANNOTATIONS,
            expected=f"a picture of the same name in {IMAGES}/ for each",
            found=files.first_ten(alone),
            remedy="complete the download, or remove them",
        )


def _lists(root: Path, pictures: Mapping[str, Path]) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    for part in ("train", "val", "trainval", "test"):
        path = root / LISTS / f"{part}.txt"
        if not path.is_file():
            continue
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError("cannot be read as a list", file=path, found=str(error)) from error
        lists[part] = [line.split()[0] for line in lines if line.strip()]
        absent = [name for name in lists[part] if name not in pictures]
        if absent:
            raise InputError(
                f"lists {files.count(len(absent), 'picture')} that cannot be found",
                file=path,
                expected=f"a picture of this name in {IMAGES}/",
                found=files.first_ten(absent),
                remedy="complete the download, or remove the lines",
            )
    both = sorted(set(lists.get("train", ())) & set(lists.get("val", ())))
    if both:
        raise InputError(
            f"{files.count(len(both), 'picture')} both in train.txt and in val.txt",
            file=root / LISTS,
            expected="each in one of them",
            found=files.first_ten(both),
        )
    return lists


def _splits(lists: Mapping[str, list[str]]) -> tuple[dict[str, list[str]], ...]:
    if not lists.get("train") or not lists.get("val"):
        return ()
    # VOC's trainval is both together; what only it names trains.
    rest = set(lists.get("trainval", ())) - set(lists["val"]) | set(lists["train"])
    return ({"train": sorted(rest), "val": sorted(set(lists["val"]))},)


def _notes(
    drawn: Mapping[str, Sequence[Drawn]], known: set[str], unlisted: set[str]
) -> tuple[str, ...]:
    bare = sorted(name for name in known if not drawn.get(name))
    everything = [(name, one) for name, found in drawn.items() for one in found]
    clicks = [n for n, o in everything if o.numbers[2:] == (o.numbers[0] + 1, o.numbers[1] + 1)]
    early = [n for n, one in everything if min(one.numbers[:2]) == -1]
    hard = sum(one.ignored for _, one in everything)
    odd = (
        (bare, f"{files.count(len(bare), 'picture')} without any object"),
        (sorted(unlisted), f"{files.count(len(unlisted), 'picture')} that no list names, left out"),
        (clicks, "objects of a single pixel, clicks perhaps"),
        (early, "boxes begin at pixel 0, but VOC counts from 1: they may be one pixel off"),
    )
    notes = [
        f"{what}: {files.first_ten(list(dict.fromkeys(names)))}" for names, what in odd if names
    ]
    if hard:
        notes.append(f"{files.count(hard, 'difficult object')}, which count in no score")
    return tuple(notes)
