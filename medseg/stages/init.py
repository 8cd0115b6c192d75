"""``init``: a data folder -> a commented recipe."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from medseg import build
from medseg.atomic import write_text
from medseg.data.case import Dataset
from medseg.data.formats import colours
from medseg.errors import InputError
from medseg.planning.fingerprint import Fingerprint
from medseg.recipe import Recipe
from medseg.stages import look
from medseg.stages.reporter import Reporter

# What becomes of the channels, by the base that is chosen for them.
_SCALED = {
    "base/ct": ("CT: clipped to the range of its labels and scaled by the data set's statistics.",),
    "base/mr": ("MR: each image is scaled by itself.",),
    "base/2d": ("Each picture is scaled by itself.",),
    "base/common": (
        "Their names decide how each is scaled: one named CT is clipped to the range of its",
        "labels and scaled by the data set's statistics, others are scaled image by image.",
    ),
}


def run(
    folder: Path,
    output: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    report: Reporter,
    overwrite: bool = False,
) -> Path:
    """Recognise ``folder``, look at its cases and write a recipe for it.

    Args:
        folder: the data set.
        overrides: ``data.key=value`` where the layout needs describing; they go into the recipe.
        output: the recipe to write; default: ``<folder name>.yaml`` in the working folder.
        report: how to speak.
        overwrite: replace an existing recipe.

    Raises:
        InputError: the layout is unknown, cases cannot be read, or the recipe exists already.
    """
    name = re.sub(r"[^a-z0-9]+", "_", folder.resolve().stem.lower()).strip("_") or "recipe"
    target = output or Path(f"{name}.yaml")
    if target.exists() and not overwrite:
        raise InputError(
            "the recipe exists already",
            file=target,
            remedy="write another with -o FILE, or replace it with --overwrite",
        )
    recipe, dataset, found = look.at_folder(folder, overrides, report=report)
    write_text(target, _recipe(recipe, dataset, found, target))
    report.say(f"wrote {target}; train with: medseg run {shlex.quote(str(target))}")
    return target


def _recipe(recipe: Recipe, dataset: Dataset, found: Fingerprint, target: Path) -> str:
    scheme = dataset.labels
    ignored = {} if scheme.ignore is None else {"ignore": scheme.ignore}
    foreground = ", ".join(scheme.foreground)
    notes, base = [*dataset.notes, *look.problems(found)], _base(found)
    lines = [
        f"# {target.stem}: segment {foreground} in {', '.join(dataset.channels)}.",
        f"#   medseg run {shlex.quote(str(target))}",
        f"# {len(dataset.cases)} labelled cases in {dataset.format} layout.",
    ]
    if notes:
        lines += ["#", "# What is odd in the data:"]
    for note in notes:
        lines += textwrap.wrap(note, 96, initial_indent="# - ", subsequent_indent="#   ")
    lines += [
        "",
        f"extends: {base}",
        "",
        "data:",
        f"  format: {dataset.format}",
        f"  root: {json.dumps(recipe.data.root)}",
        *[
            f"  {key}: {json.dumps(value)}"
            for key, value in build.format_options(recipe).items()
            if key != "value_map"
        ],
        *[f"  # {line}" for line in _SCALED[base]],
        f"  channels: {json.dumps(list(dataset.channels))}",
    ]
    if dataset.format == "brats" and dataset.preset:
        lines += [
            f"  # A preset: {json.dumps(dict(scheme.values))}. With regions: true the nested",
            "  # regions are trained (whole tumour, tumour core, …), with false the labels.",
            f"  labels: {dataset.preset}",
            "  regions: true",
        ]
    else:
        lines.append(f"  labels: {json.dumps({**scheme.values, **ignored})}")
        if scheme.regions:
            regions = {name: list(members) for name, members in scheme.regions.items()}
            lines += [
                "  # Overlapping regions, decoded in this order.",
                f"  regions: {json.dumps(regions)}",
            ]
    if dataset.value_map:
        lines.append(f"  value_map: {_value_map(dataset.value_map)}")
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


def _value_map(value_map: Mapping[int, int]) -> str:
    """Write a value map, colours as 0xRRGGBB."""
    name = colours.name if colours.names_colours(value_map) else str
    return f"{{{', '.join(f'{name(key)}: {value}' for key, value in value_map.items())}}}"


def _base(found: Fingerprint) -> str:
    if found.spatial_dims == 2:
        return "base/2d"
    modalities = set(found.modalities)
    if modalities == {"ct"}:
        return "base/ct"
    return "base/common" if "ct" in modalities else "base/mr"
