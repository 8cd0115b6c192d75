"""XML files from elsewhere, read without what XML can do to a reader.

A document type is refused, and with it every entity that a file could define: those that name
other files, and those that unfold a kilobyte into gigabytes. No annotation needs either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from medseg.errors import InputError

# The largest of LIDC-IDRI has 4 MB, and nothing there lies deeper than 6.
_LARGEST = 256 * 2**20
_DEEPEST = 64


def read_xml(path: Path) -> Element:
    """Read an XML file; names are as written, so a default name space leaves them plain.

    Raises:
        InputError: it cannot be opened, is not well-formed (line and column are named), is larger
            or deeper than annotations are, or declares a document type.
    """
    content = _content(path)
    builder = TreeBuilder()
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise InputError(
                "is too deep for an annotation",
                file=path,
                expected=f"at most {_DEEPEST} elements in one another",
                remedy="check where the file comes from",
            )
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def refuse(*_: Any) -> None:
        raise InputError(
            "declares a document type, which is not read: its entities could name other files or "
            "fill the memory",
            file=path,
            expected="XML without <!DOCTYPE …>",
            found=f"<!DOCTYPE at line {parser.CurrentLineNumber}",
            remedy="remove the declaration if you trust the file",
        )

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise InputError(
            "is not well-formed XML",
            file=path,
            found=f"{expat.ErrorString(error.code)} at line {error.lineno}, column {error.offset}",
            remedy="check that the file was copied whole",
        ) from error
    except (LookupError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("is not XML that can be read", file=path, found=str(error)) from error
    return builder.close()


def text_of(element: Element, path: str, *, file: Path, what: str) -> str:
    """Return the text of an element below another.

    Raises:
        InputError: there is none.
    """
    found = element.findtext(path)
    if found is None or not found.strip():
        raise InputError(
            f"{what} has no <{path}>",
            file=file,
            expected="text",
            found="nothing",
            remedy="add it, or remove what it is missing from",
        )
    return found.strip()


def number_of(element: Element, path: str, *, file: Path, what: str) -> float:
    """Return the number of an element below another.

    Raises:
        InputError: there is none.
    """
    text = text_of(element, path, file=file, what=what)
    try:
        return float(text)
    except ValueError as error:
        raise InputError(
            f"{what}: <{path}> is no number",
            file=file,
            expected="a number, with a decimal point",
            found=repr(text)[:80],
            remedy="correct it, or remove the object",
        ) from error


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(
                "is too large for an annotation",
                file=path,
                expected=f"at most {_LARGEST // 2**20} MB",
                found=f"{path.stat().st_size // 2**20} MB",
            )
        return path.read_bytes()
    except OSError as error:
        raise InputError("cannot be opened", file=path, found=str(error.strerror)) from error
