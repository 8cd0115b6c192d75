"""``init``: a data folder -> a commented recipe."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

from medseg.atomic import write_text
from medseg.data.case import Dataset
from medseg.errors import InputError
from medseg.planning.fingerprint import Fingerprint
from medseg.stages import look
from medseg.stages.reporter import Reporter


def run(
    folder: Path, output: Path | None = None, *, report: Reporter, overwrite: bool = False
) -> Path:
    """Recognise ``folder``, look at its cases and write a recipe for it.

    Args:
        folder: the data set.
        output: the recipe to write; default: ``<folder name>.yaml`` in the working folder.
        report: how to speak.
        overwrite: replace an existing recipe.

    Raises:
        InputError: the layout is unknown, cases cannot be read, or the recipe exists already.
    """
    name = re.sub(r"[^a-z0-9]+", "_", folder.resolve().name.lower()).strip("_") or "recipe"
    target = output or Path(f"{name}.yaml")
    if target.exists() and not overwrite:
        raise InputError(
            "the recipe exists already",
            file=target,
            remedy="write another with -o FILE, or replace it with --overwrite",
        )
    dataset, found = look.at_folder(folder, report=report)
    write_text(target, _recipe(dataset, found, target))
    report.say(f"wrote {target}; train with: medseg run {target}")
    return target


def _recipe(dataset: Dataset, found: Fingerprint, target: Path) -> str:
    scheme = dataset.labels
    foreground = ", ".join(scheme.foreground)
    notes = [*dataset.notes, *look.problems(found)]
    lines = [
        f"# {target.stem}: segment {foreground} in {', '.join(dataset.channels)}.",
        f"#   medseg run {target}",
        f"# {len(dataset.cases)} labelled cases in {dataset.format} layout.",
    ]
    if notes:
        lines += ["#", "# What is odd in the data:"]
    for note in notes:
        lines += textwrap.wrap(note, 96, initial_indent="# - ", subsequent_indent="#   ")
    lines += [
        "",
        f"extends: {_base(found)}",
        "",
        "data:",
        f"  format: {dataset.format}",
        f"  root: {json.dumps(str(dataset.root))}",
        "  # Channels decide the normalisation: one named CT is clipped to the range of its",
        "  # labels and scaled by the data set's statistics, others are scaled image by image.",
        f"  channels: {json.dumps(list(dataset.channels))}",
    ]
    if dataset.format == "brats":
        lines += [
            f"  # The labels are {json.dumps(dict(scheme.values))}; true trains the nested regions",
            "  # whole tumour, tumour core and enhancing tumour, false the labels themselves.",
            "  regions: true",
        ]
    else:
        lines.append(f"  labels: {json.dumps(dict(scheme.values))}")
    if scheme.regions:
        regions = {name: list(members) for name, members in scheme.regions.items()}
        lines += [
            "  # Overlapping regions, decoded in this order.",
            f"  regions: {json.dumps(regions)}",
        ]
    if dataset.value_map:
        lines += [
            f"  value_map: {json.dumps({int(k): int(v) for k, v in dataset.value_map.items()})}"
        ]
    if len(dataset.cases) == 1:
        lines += ["  fold: all  # a single case: nothing can be held out"]
    else:
        lines += [
            f"  folds: {min(5, len(dataset.cases))}",
            "  fold: 0  # which of them validates; all: none",
        ]
    lines += [
        "",
        "trainer:",
        "  budget: 15m  # wall-clock training time; or steps: N, or epochs: N",
        "",
        "logger: csv  # wandb, tensorboard, none, or a list",
        "",
    ]
    return "\n".join(lines)


def _base(found: Fingerprint) -> str:
    if found.spatial_dims == 2:
        return "base/2d"
    return "base/ct" if "ct" in found.modalities else "base/mr"
