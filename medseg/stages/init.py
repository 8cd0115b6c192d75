"""``init``: a data folder -> a commented recipe."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg import build
from medseg.atomic import write_text
from medseg.data.case import Dataset
from medseg.data.formats import colours
from medseg.data.formats.files import count
from medseg.data.prepare.problems import looks_like_ct
from medseg.errors import InputError
from medseg.planning.fingerprint import Fingerprint
from medseg.recipe import Recipe
from medseg.recipe.overrides import read_overrides
from medseg.recipe.problems import Problem, raise_all
from medseg.stages import look
from medseg.stages.inspect import oddities
from medseg.stages.reporter import Reporter
from medseg.stages.splits import folds_of

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
_MOST_FOLDS = 5
# Keys under data that have lines of their own.
_APART = ("format", "root", "channels", "labels", "regions", "folds", "fold")


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
        overrides: ``data.key=value``: how the folder is to be read, what it shows, which of its
            cases validate; they go into the recipe.
        output: the recipe to write; default: ``<folder name>.yaml`` in the working folder.
        report: how to speak.
        overwrite: replace an existing recipe.

    Raises:
        InputError: the layout is unknown, cases cannot be read, they cannot be dealt out to folds
            as asked, another key than one of ``data`` is given, or the recipe exists already.
    """
    stated = _stated(overrides)
    name = re.sub(r"[^a-z0-9]+", "_", folder.resolve().stem.lower()).strip("_") or "recipe"
    target = output or Path(f"{name}.yaml")
    if target.exists() and not overwrite:
        raise InputError(
            "the recipe exists already",
            file=target,
            remedy="write another with -o FILE, or replace it with --overwrite",
        )
    recipe, dataset, found = look.at_folder(folder, overrides, report=report)
    recipe = _with_folds(recipe, dataset, stated)
    folds_of(recipe, dataset, None)  # a recipe that cannot run is not written
    notes = oddities(recipe, dataset, found)
    if _is_ct_unsaid(recipe, found):
        recipe = _with(recipe, modality="ct")
        report.say("  taken for CT; if it is none: data.modality=mr")
    write_text(target, _recipe(recipe, dataset, found, target, notes))
    report.say(f"wrote {target}; train with: medseg run {shlex.quote(str(target))}")
    return target


def _stated(overrides: Sequence[str]) -> Mapping[str, Any]:
    """Return what is said of the data; anything else is refused, for it would be lost."""
    problems: list[Problem] = []
    words = read_overrides(overrides, problems).plain()
    raise_all(problems)
    data = words.pop("data", {})
    data = data if isinstance(data, Mapping) else {}  # no mapping: reading the recipe says so
    if words or "phantom" in (data.get("format"), *data):
        raise InputError(
            "init takes data.KEY=VALUE only, and no phantoms",
            found=shlex.join(overrides),
            remedy="change other keys in the recipe that it writes, or give them to medseg run",
        )
    return data


def _with_folds(recipe: Recipe, dataset: Dataset, stated: Mapping[str, Any]) -> Recipe:
    """Choose as many folds as the patients can fill, where nothing else says what validates."""
    if "folds" in stated or recipe.data.splits or dataset.splits:
        return recipe
    patients = len({case.group or case.id for case in dataset.cases})
    if patients > 1:
        return _with(recipe, folds=min(_MOST_FOLDS, patients))
    return recipe if "fold" in stated else _with(recipe, fold="all")


def _is_ct_unsaid(recipe: Recipe, found: Fingerprint) -> bool:
    """Tell whether all channels that nobody calls anything look like CT."""
    if recipe.data.modality != "auto" or isinstance(recipe.data.channels, Mapping):
        return False
    unsaid = [i for i, name in enumerate(found.modalities) if name == "other"]
    return bool(unsaid) and all(looks_like_ct(found, channel) for channel in unsaid)


def _with(recipe: Recipe, **values: Any) -> Recipe:
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=values)})


def _recipe(
    recipe: Recipe, dataset: Dataset, found: Fingerprint, target: Path, notes: Sequence[str]
) -> str:
    scheme = dataset.labels
    ignored = {} if scheme.ignore is None else {"ignore": scheme.ignore}
    foreground = ", ".join(scheme.foreground)
    base, asked = _base(recipe, found), build.plain(recipe.data)["regions"]
    lines = [
        f"# {target.stem}: segment {foreground} in {', '.join(dataset.channels)}.",
        f"#   medseg run {shlex.quote(str(target))}",
        f"# {count(len(dataset.cases), 'labelled case')} in {dataset.format} layout.",
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
        f"  channels: {json.dumps(_channels(recipe, dataset))}",
        *[f"  {key}: {json.dumps(value)}" for key, value in _further(recipe).items()],
    ]
    if dataset.format == "brats" and dataset.preset:
        lines += [
            f"  # A preset: {json.dumps(dict(scheme.values))}. With regions: true the nested",
            "  # regions are trained (whole tumour, tumour core, …), with false the labels.",
            f"  labels: {dataset.preset}",
            f"  regions: {json.dumps(True if asked is None else asked)}",
        ]
    else:
        lines.append(f"  labels: {json.dumps({**scheme.values, **ignored})}")
        if scheme.regions:
            regions = {name: list(members) for name, members in scheme.regions.items()}
            lines += [
                "  # Overlapping regions, decoded in this order.",
                f"  regions: {json.dumps(regions)}",
            ]
        elif asked is False:
            lines.append("  regions: false")
    if dataset.value_map:
        lines.append(f"  value_map: {_value_map(dataset.value_map)}")
    lines += [
        *_folds(recipe, dataset),
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


def _channels(recipe: Recipe, dataset: Dataset) -> list[str] | dict[str, str]:
    """Return the channels' names, with what each shows if that was said."""
    named = recipe.data.channels
    return dict(named) if isinstance(named, Mapping) else list(dataset.channels)


def _further(recipe: Recipe) -> dict[str, Any]:
    """Return what is said of the data beyond where they are and what they are called."""
    said, defaults = build.plain(recipe.data), build.plain(type(recipe.data)())
    apart = (*_APART, *build.format_options(recipe))
    return {k: v for k, v in said.items() if k not in apart and v != defaults[k]}


def _folds(recipe: Recipe, dataset: Dataset) -> list[str]:
    data, given = recipe.data, recipe.data.splits or dataset.splits
    lines = []
    if data.folds != _MOST_FOLDS or not (given or data.fold == "all"):
        lines.append(f"  folds: {data.folds}")
    which = "of the splits that are given, which one" if given else "which of them"
    remark = "every case trains" if data.fold == "all" else f"{which} validates; all: none"
    return [*lines, f"  fold: {data.fold}  # {remark}"]


def _base(recipe: Recipe, found: Fingerprint) -> str:
    if found.spatial_dims == 2:
        return "base/2d"
    modalities = {name.lower() for name in build.modalities(recipe, found)}
    if modalities == {"ct"}:
        return "base/ct"
    return "base/common" if "ct" in modalities else "base/mr"
