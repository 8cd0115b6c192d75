"""Where the predicted masks of cases lie in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medseg.data.case import Case
from medseg.data.prepare.writing import mask_suffix


def mask_path(folder: Path, case: Case) -> Path:
    """Return the file that a prediction of a case is written to."""
    return folder / f"{case.id}{mask_suffix(case.images[0])}"


def existing(folder: Path, cases: Sequence[Case]) -> dict[str, Path]:
    """Find the masks of cases in a folder, by case id."""
    paths = {case.id: mask_path(folder, case) for case in cases}
    return {case: path for case, path in paths.items() if path.is_file()}
