"""``plan.yaml``: a recipe fragment with a reason per value, whose edits survive re-planning."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from medseg.atomic import write_text
from medseg.errors import InputError

_HEADER = """\
# What follows from the data, each value with its reason. This is a fragment of a recipe: edit a
# value here and it is kept, delete a line and it is planned anew; values in the recipe itself win.
"""
_RECORD = "# planned: "
_SPEED = "# speed: "
_MASKS = "# Masks: "
_BOXES = "# Boxes: "


@dataclass(frozen=True)
class PlanFile:
    """What a ``plan.yaml`` holds.

    Attributes:
        values: the values, as they stand in the file.
        planned: the values that the planner had written there.
        speed: of the device that a fast plan was sized for, as it was measured.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    planned: Mapping[str, Any] = field(default_factory=dict)
    speed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def edits(self) -> dict[str, Any]:
        """Values that a person changed or added."""
        return {k: v for k, v in self.values.items() if self.planned.get(k) != v}


def read(path: Path) -> PlanFile:
    """Read a plan file; one that is not there is empty.

    Raises:
        InputError: the file is no plan.
    """
    if not path.is_file():
        return PlanFile()
    try:
        text = path.read_text(encoding="utf-8")
        content = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, OSError, ValueError) as error:
        raise InputError(
            f"the plan is not valid YAML: {error}",
            file=path,
            remedy="mend the line, or delete the file to plan anew",
        ) from error
    values = content.get("plan") if isinstance(content, dict) else None
    if not isinstance(values, dict):
        raise InputError(
            "the plan has no section 'plan'", file=path, remedy="delete the file to plan anew"
        )
    # Of a record that someone broke every value counts as an edit.
    return PlanFile(values, _recorded(text, _RECORD), _recorded(text, _SPEED))


def _recorded(text: str, name: str) -> dict[str, Any]:
    line = next((line for line in text.splitlines() if line.startswith(name)), name + "{}")
    try:
        found = json.loads(line.removeprefix(name))
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def write(
    path: Path,
    values: Mapping[str, Any],
    *,
    planned: Mapping[str, Any],
    reasons: Mapping[str, str],
    notes: Sequence[str] = (),
    speed: Mapping[str, Any] | None = None,
    masks: Sequence[str] = (),
    boxes: Sequence[str] = (),
) -> None:
    """Write ``values`` with their reasons.

    Args:
        path: the file.
        values: the plan, as it stands.
        planned: what the planner would have chosen.
        reasons: one line for each value.
        notes: further sentences, on what was planned as a whole.
        speed: what a fast plan was sized for; it stays, so that planning again gives the same.
        masks: what is done to masks, in lines, see `rewrite_masks`.
        boxes: which boxes are kept, in lines, see `rewrite_boxes`.
    """
    lines = [*(f"# {note}" for note in notes), "plan:"]
    for key, value in values.items():
        reason = reasons.get(key, "")
        lines.append(f"  {key}: {json.dumps(value)}" + (f"  # {reason}" if reason else ""))
    record = json.dumps(dict(planned))
    footer = "\n# The line below remembers what was planned, so that edits are known as edits.\n"
    footer += _RECORD + record + "\n"
    if speed:
        footer += "# What it was sized for; planning again keeps it.\n"
        footer += _SPEED + json.dumps(dict(speed)) + "\n"
    text = _HEADER + "\n".join(lines) + "\n" + footer
    write_text(path, _with(_with(text, _MASKS, masks), _BOXES, boxes))


def rewrite_masks(path: Path, masks: Sequence[str]) -> None:
    """Replace what a plan file says of masks; no value of the plan, and so no training, changes.

    They are comments: whoever reads the plan finds the steps and their gains, and whoever changes
    them does so in one place, ``postprocessing.yaml``.
    """
    _rewrite(path, _MASKS, masks)


def rewrite_boxes(path: Path, boxes: Sequence[str]) -> None:
    """Replace what a plan file says of boxes, as `rewrite_masks` does of masks.

    They are changed in ``detection.yaml``.
    """
    _rewrite(path, _BOXES, boxes)


def _rewrite(path: Path, name: str, said: Sequence[str]) -> None:
    text = path.read_text(encoding="utf-8")
    wanted = _with(text, name, said)
    if wanted != text:
        write_text(path, wanted)


def _with(text: str, name: str, said: Sequence[str]) -> str:
    """Put comments of one kind before the plan, in place of those that are there."""
    lines = [line for line in text.split("\n") if not line.startswith(name)]
    at = lines.index("plan:") if "plan:" in lines else 0
    return "\n".join([*lines[:at], *(name + line for line in said), *lines[at:]])
