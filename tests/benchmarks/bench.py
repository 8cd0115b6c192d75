"""What the benchmark scripts share: tables with ratios, medians, and peers in their own Python.

    import bench

    args = bench.parser(__doc__).parse_args()
    table = bench.Table("patches a second", ["medseg", "MONAI"], reference="medseg")
    table.row("96³, 1 channel", {"medseg": 60.1, "MONAI": 14.2})
    table.show()

Scripts run as ``python tests/benchmarks/NAME.py``; Python then finds this module beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Parser(argparse.ArgumentParser):
    """Refuses, before anything is measured, what could not be measured or kept."""

    def parse_args(self, *args: Any, **options: Any) -> Any:
        """Parse; a device, a folder or peers that are not there are an error."""
        found = super().parse_args(*args, **options)
        if found.json is not None and not found.json.absolute().parent.is_dir():
            self.error(f"--json: there is no folder {found.json.absolute().parent}")
        if found.peers is not None:
            try:
                peers_python(found.peers)
            except PeerMissingError as error:
                self.error(str(error))
        if found.device == "cuda":
            import torch

            if not torch.cuda.is_available():
                self.error("--device cuda: there is no such device")
        return found


def count(text: str) -> int:
    """Read a number of things, of which there must be one."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def duration(text: str) -> float:
    """Read a length of time, such as ``15m``, as seconds."""
    from medseg.recipe.durations import parse_duration

    try:
        return float(parse_duration(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parser(description: str | None) -> Parser:
    """Make a parser with the options that every benchmark has: peers, device, quick, json."""
    made = Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument(
        "--peers",
        metavar="DIR",
        help="environment with the peers installed (DIR/bin/python); default: $MEDSEG_PEERS",
    )
    made.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    made.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    made.add_argument("--json", metavar="FILE", type=Path, help="also write the figures there")
    return made


def median_of(count: int, measure: Callable[[], float]) -> float:
    """Call ``measure`` so often and give the median of what it returned."""
    return statistics.median(measure() for _ in range(count))


def seconds_of(function: Callable[[], Any], *, device: str = "cpu") -> float:
    """Time one call; waits for a GPU to finish."""
    wait = _waiter(device)
    wait()
    started = time.perf_counter()
    function()
    wait()
    return time.perf_counter() - started


def _waiter(device: str) -> Callable[[], Any]:
    if device == "cpu":
        return lambda: None
    import torch

    return torch.cuda.synchronize


class PeerMissingError(Exception):
    """The peers are not installed, or one failed; the text says which and how to mend it."""


def peers_python(option: str | Path | None = None) -> Path:
    """Find the interpreter of the peers: ``option``, else ``$MEDSEG_PEERS``.

    Either may be the environment's folder or its interpreter.

    Raises:
        PeerMissingError: neither is given, or there is no interpreter.
    """
    given = option or os.environ.get("MEDSEG_PEERS")
    if not given:
        raise PeerMissingError(
            "peers are not measured: say where they are installed with --peers DIR or MEDSEG_PEERS"
        )
    path = Path(given).expanduser()
    python = path / "bin" / "python" if path.is_dir() else path
    if not os.access(python, os.X_OK):
        raise PeerMissingError(f"peers are not measured: there is no interpreter at {python}")
    # Not resolved: a virtual environment is known by the path that it is called by.
    return python.absolute()


def run_peer(
    script: str | Path,
    args: Sequence[object] = (),
    *,
    python: str | Path | None = None,
    threads: int | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> dict[str, Any]:
    """Run a script in the peers' Python and give the last line of its output that is JSON.

    Args:
        script: a file, or the text of a program.
        args: of the command line.
        python: the environment or its interpreter; ``None``: `peers_python`.
        threads: what OpenMP and the other thread pools may use.
        environment: further variables.
        timeout: seconds.

    Raises:
        PeerMissingError: no interpreter, or the script failed; holds the end of what it printed.
    """
    found = peers_python(python)
    variables = {**os.environ, **(environment or {})}
    # The peers must not find our own packages, nor a script's neighbours.
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
        variables.pop(name, None)
    if threads is not None:
        for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR"):
            variables[f"{name}_NUM_THREADS"] = str(threads)
        variables["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(threads)
    is_file = isinstance(script, Path) or ("\n" not in script and Path(script).is_file())
    start = [str(script)] if is_file else ["-c", str(script)]
    done = subprocess.run(
        [str(found), *start, *map(str, args)],
        env=variables,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
    raise PeerMissingError(f"the peer ended with {done.returncode} and without a result\n{said}")


class Table:
    """Figures of several programs, row by row, and how the reference compares with each.

    A ratio above 1 is always in the reference's favour.

    Args:
        title: what is measured, with its unit.
        columns: the programs.
        reference: the column that the others are compared with.
        higher_is_better: rates, not times.
        digits: after the decimal point.
    """

    def __init__(
        self,
        title: str,
        columns: Sequence[str],
        *,
        reference: str | None = None,
        higher_is_better: bool = True,
        digits: int = 1,
    ) -> None:
        self.title, self.columns, self.digits = title, list(columns), digits
        self.reference = reference if reference is not None else self.columns[0]
        self.higher_is_better = higher_is_better
        self.rows: list[tuple[str, dict[str, float | None], str]] = []

    def row(self, name: str, figures: Mapping[str, float | None], note: str = "") -> None:
        """Add a row; a figure that was not measured is ``None`` or left out."""
        self.rows.append((name, {c: figures.get(c) for c in self.columns}, note))

    def ratio(self, row: int, column: str) -> float | None:
        """Say how many times better the reference is than ``column``."""
        own, other = self.rows[row][1][self.reference], self.rows[row][1][column]
        if not own or not other:
            return None
        return own / other if self.higher_is_better else other / own

    def cells(self) -> list[list[str]]:
        """Give all cells as text, the head first."""
        noted = any(note for _, _, note in self.rows)
        lines = [["", *self.columns, *(["note"] if noted else [])]]
        for number, (name, figures, note) in enumerate(self.rows):
            cells = [name]
            for column in self.columns:
                value = figures[column]
                text = "–" if value is None else f"{value:.{self.digits}f}"
                ratio = None if column == self.reference else self.ratio(number, column)
                cells.append(text if ratio is None else f"{text} ({ratio:.2f}×)")
            lines.append([*cells, *([note] if noted else [])])
        return lines

    def show(self) -> None:
        """Print with rich where it is installed, else in plain columns."""
        head, *body = self.cells()
        try:
            from rich.console import Console
            from rich.table import Table as RichTable
        except ImportError:
            widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
            print(self.title)
            for line in [head, *body]:
                print("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip())
            return
        table = RichTable(title=self.title, title_justify="left")
        for number, name in enumerate(head):
            table.add_column(name, justify="left" if number == 0 else "right")
        for line in body:
            table.add_row(*line)
        console = Console()
        # A table cut off at 80 columns in a log file is no use.
        console.print(table, width=None if console.is_terminal else 160)

    def markdown(self) -> str:
        """Give the table as Markdown."""
        head, *body = self.cells()
        rule = ["---", *["---:"] * (len(head) - 1)]
        return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *body])

    def to_dict(self) -> dict[str, Any]:
        """Give the figures as plain containers."""
        return {
            "title": self.title,
            "reference": self.reference,
            "rows": [{"name": n, "figures": f, "note": t} for n, f, t in self.rows],
        }


def machine() -> str:
    """Describe the machine in one line, for the head of a report."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = [f"{cores} cores", platform.machine(), f"torch {torch.__version__}"]
    parts.append(f"Python {platform.python_version()}")
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return ", ".join(parts)


def save(path: Path | None, **figures: Any) -> None:
    """Write figures as JSON where ``--json`` asks for it."""
    if path is not None:
        path.write_text(json.dumps({"machine": machine(), **figures}, indent=2) + "\n")
        print(f"written: {path}", file=sys.stderr)
