"""A Lightning logger that keeps one table of a run, through kills and resumptions."""

from __future__ import annotations

import csv
import io
import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

_FIRST = ("step", "epoch")


class CsvLogger(Logger):
    """Writes ``progress.csv``: a row per step that logged something, a column per metric.

    Lightning's own CSVLogger starts a new folder for each session; this one goes on in the same
    file. Rows beyond the step where a resumed session begins are dropped: it logs them again.

    Args:
        folder: where ``progress.csv`` lies.
        resume: go on with the file that is there; otherwise start a new one at the first row.
    """

    def __init__(self, folder: str | Path, *, resume: bool = False) -> None:
        super().__init__()
        self.folder, self.resume = Path(folder), resume
        self._columns: list[str] = list(_FIRST)
        self._rows: list[dict[str, Any]] | None = None
        self._last_at = 0  # where the last row begins, in bytes

    @property
    def file(self) -> Path:
        """Path of the table."""
        return self.folder / "progress.csv"

    @property
    def name(self) -> str:
        """Lightning's name of the experiment; unused."""
        return ""

    @property
    def version(self) -> str:
        """Lightning's version of the experiment; unused."""
        return ""

    @property
    def save_dir(self) -> str:
        """Folder of the table."""
        return str(self.folder)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Do nothing: recipe.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add to the row of this step, or begin it."""
        row: dict[str, Any] = {"step": 0 if step is None else int(step)}
        row |= {name: float(value) for name, value in metrics.items()}
        if "epoch" in row:
            row["epoch"] = int(row["epoch"])
        whole, again = self._rows is None, False
        rows = self._open(row["step"]) if self._rows is None else self._rows
        new = [name for name in row if name not in self._columns]
        self._columns += new
        if rows and rows[-1]["step"] == row["step"]:
            rows[-1] |= row
            again = True
        else:
            rows.append(row)
        if whole or new or not self.file.is_file():
            self._write_all(rows)
        else:
            self._write_last(rows[-1], again=again)

    def _open(self, step: int) -> list[dict[str, Any]]:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._rows = []
        if self.resume and self.file.is_file():
            with self.file.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                self._columns = list(reader.fieldnames or _FIRST)
                kept = (_parsed(row) for row in reader)
                self._rows = [row for row in kept if row is not None and row["step"] <= step]
        return self._rows

    def _write_all(self, rows: list[dict[str, Any]]) -> None:
        beside = self.file.with_name(f".{self.file.name}.{os.getpid()}.tmp")
        before = self._text(rows[:-1], header=True)
        beside.write_bytes(before + self._text(rows[-1:]))
        beside.replace(self.file)
        self._last_at = len(before)

    def _write_last(self, row: dict[str, Any], *, again: bool) -> None:
        """Add a row, or write the last one again: a long table is not written as a whole."""
        with self.file.open("r+b") as file:
            if again:
                file.truncate(self._last_at)
            self._last_at = file.seek(0, os.SEEK_END)
            file.write(self._text([row]))

    def _text(self, rows: list[dict[str, Any]], *, header: bool = False) -> bytes:
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, self._columns)
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return out.getvalue().encode()


def _parsed(row: dict[str, Any]) -> dict[str, Any] | None:
    """Read a row back; ``None`` for one that a kill cut off."""
    try:
        out: dict[str, Any] = {"step": int(row.pop("step"))}
        for name, text in row.items():
            if name is None or text is None:
                return None
            if text:
                out[name] = int(text) if name == "epoch" else float(text)
    except (TypeError, ValueError):
        return None
    return out
