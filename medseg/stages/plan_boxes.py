"""What ``plan.yaml`` says of boxes: which are kept, and what that brought."""

from __future__ import annotations

from pathlib import Path

from medseg.errors import InputError
from medseg.inference.detection.keep_file import NAME, read
from medseg.inference.detection.keep_text import summary
from medseg.stages import plan_file


def lines(run: Path) -> list[str]:
    """Say it in a line a step.

    Args:
        run: the run's folder, which may hold a ``detection.yaml``.
    """
    file = run / NAME
    if not file.is_file():
        return []
    try:
        said = [f"{line} ({NAME})" for line in summary(read(file))]
    except InputError:
        said = [f"{NAME} cannot be read"]
    return [" ".join(line.split()) for line in said]


def refresh(run: Path) -> None:
    """Bring an existing ``plan.yaml`` up to date; its values stay as they are."""
    if (run / "plan.yaml").is_file():
        plan_file.rewrite_boxes(run / "plan.yaml", lines(run))
