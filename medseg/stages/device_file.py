"""``device.yaml``: what a run's trainings do on the device at hand, a reason beside each value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from medseg.atomic import locked, write_text
from medseg.errors import InputError

_HEADER = """\
# What the device at hand takes of the plan, found by one dry step before training. Written by fit;
# trainings that have begun keep it. To fix a value, set it in the recipe.
"""

_PRECISIONS = ("32", "16-mixed", "bf16-mixed", "64")
VALUES = (
    "device",
    "batch_size",
    "patch_size",
    "accumulate",
    "workers",
    "precision",
    "compile",
    "channels_last",
)
MEASURED = ("seconds_per_step", "forward_seconds", "step_gib", "free_gib")


@dataclass(frozen=True)
class DeviceFile:
    """What a ``device.yaml`` holds.

    Attributes:
        values: what trainings do; keys of `VALUES`.
        measured: what the dry step took; keys of `MEASURED`.
        reasons: one line for each of either.
        measured_for: hash of plan, network, loss and optimiser.
    """

    values: Mapping[str, Any]
    measured: Mapping[str, float] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    measured_for: str = ""


def read(path: Path) -> DeviceFile | None:
    """Read the file; ``None`` where there is none.

    Raises:
        InputError: it is no such file, or its sizes are no sizes.
    """
    if not path.is_file():
        return None
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise TypeError(f"{content!r} stands where keys and values should")
        values = {**content["training"], "device": content["device"]}
        measured = {key: float(value) for key, value in dict(content["measured"] or {}).items()}
        found = DeviceFile(values, measured, {}, str(content["measured_for"]))
        sizes = [*values["patch_size"], values["batch_size"], values["accumulate"]]
        if any(not isinstance(n, int) or n < 1 for n in sizes):
            raise ValueError(f"sizes must be whole numbers above 0, not {sizes}")
        if values["precision"] not in _PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(_PRECISIONS)}")
    except (YAMLError, OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"the file does not say what the device takes: {error}",
            file=path,
            remedy="mend the line, or delete the file to measure anew",
        ) from error
    return found


def write(path: Path, content: DeviceFile) -> None:
    """Write the file, whole or not at all."""
    training = {k: content.values.get(k) for k in VALUES if k != "device"}
    lines = [
        _line("device", content.values["device"], content.reasons, ""),
        "training:",
        *(_line(key, value, content.reasons, "  ") for key, value in training.items()),
        "measured:",
        *(_line(key, value, content.reasons, "  ") for key, value in content.measured.items()),
        _line("measured_for", content.measured_for, content.reasons, ""),
    ]
    write_text(path, _HEADER + "\n".join(lines) + "\n")


def amend(path: Path, values: Mapping[str, Any], reasons: Mapping[str, str]) -> None:
    """Replace values of a training in a file that is there; the rest stays as it stands."""
    if not path.is_file():
        return
    with locked(path.parent):
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        for key, value in values.items():
            for number, line in enumerate(lines):
                if line.startswith(f"  {key}: "):
                    lines[number] = _line(key, value, reasons, "  ")
        new = "\n".join(lines) + "\n"
        if new != text:
            write_text(path, new)


def _line(key: str, value: Any, reasons: Mapping[str, str], indent: str) -> str:
    reason = reasons.get(key, "")
    return f"{indent}{key}: {json.dumps(value)}" + (f"  # {reason}" if reason else "")
