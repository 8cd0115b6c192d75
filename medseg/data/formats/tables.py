"""CSV tables of objects: header, delimiter and numbers, with the line in every message."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg.errors import InputError


@dataclass(frozen=True)
class Line:
    """One row of a table: its line in the file, and its cells by column, in lower case."""

    file: Path
    number: int
    cells: dict[str, str]

    def number_in(self, column: str) -> float:
        """Return the number in a column.

        Raises:
            InputError: there is none.
        """
        text = self.cells[column.lower()]
        try:
            return float(text)
        except ValueError as error:
            raise InputError(
                f"line {self.number}: {column} is no number",
                file=self.file,
                expected="a number" + (" with a decimal point" if "," in text else ""),
                found=repr(text)[:80],
                remedy="correct it, or remove the row",
            ) from error

    def text_in(self, column: str) -> str:
        """Return the text in a column.

        Raises:
            InputError: the cell is empty.
        """
        text = self.cells[column.lower()]
        if not text or "\0" in text:
            raise InputError(
                f"line {self.number}: {column} is empty",
                file=self.file,
                expected="text",
                found=repr(text)[:80],
                remedy="fill it in, or remove the row",
            )
        return text


def header_of(path: Path) -> list[str]:
    """Return the column names of a CSV file in lower case; empty if it is none."""
    try:
        with path.open("rb") as lines:
            first = re.split(rb"[\r\n]", lines.read(100_000), maxsplit=1)[0].decode("utf-8-sig")
            cells = next(csv.reader([first], delimiter=_delimiter(first)), [])
            return [cell.strip().lower() for cell in cells]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def read_table(path: Path, wanted: Sequence[str]) -> Iterator[Line]:
    """Read the rows of a CSV file (commas, semicolons or tabs); empty lines are left out.

    Raises:
        InputError: it cannot be opened, is no CSV in UTF-8, has a column twice, lacks one that is
            wanted, or a row has another number of cells than the header.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = re.split(r"[\r\n]", text, maxsplit=1)[0]
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(first))
        names = [cell.strip().lower() for cell in next(rows, [])]
        twice = next((name for name in names if name and names.count(name) > 1), None)
        if twice is not None:
            raise InputError(
                f"has the column {twice!r} twice",
                file=path,
                expected="each column once",
                found=", ".join(names),
                remedy="remove or rename one of them",
            )
        lacking = [column for column in wanted if column.lower() not in names]
        if lacking:
            raise InputError(
                f"lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}",
                file=path,
                expected=", ".join(wanted),
                found=", ".join(names) or "no header",
            )
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if len(cells) != len(names):
                raise InputError(
                    f"line {rows.line_num} has another number of cells than the header",
                    file=path,
                    expected=f"{len(names)}: {', '.join(names)}",
                    found=str(len(cells)),
                    remedy="check that the file was copied whole",
                )
            yield Line(path, rows.line_num, dict(zip(names, cells, strict=True)))
    except OSError as error:
        raise InputError("cannot be opened", file=path, found=str(error.strerror)) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("is not a CSV file in UTF-8", file=path, found=str(error)) from error


def _delimiter(first: str) -> str:
    return max(",;\t", key=first.count)
