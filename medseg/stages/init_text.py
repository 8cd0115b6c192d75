"""The recipe that ``init`` writes: what was said, what was found, and what each line is for."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg import build
from medseg.data.case import Dataset
from medseg.data.formats import colours
from medseg.data.formats.files import count
from medseg.planning.fingerprint import Fingerprint
from medseg.recipe import Recipe

# Of how many parts a cross-validation is, where nobody says otherwise.
MOST_FOLDS = 5

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
# The detector that fits what objects are made of, and why.
_NETWORKS = {
    "components": ("retina_unet", "learns from the masks, too; or retina_net, centre_net"),
    "instances": ("retina_unet", "learns from the masks, too; or retina_net, centre_net"),
    "boxes": ("retina_net", "there are no masks to learn from, too; or centre_net"),
}
_OBJECTS = {
    "components": "each connected component of a class; instances: each value of a map",
    "instances": "each value of a map that numbers them",
    "boxes": "as they are listed",
}
# Keys under data that have lines of their own.
_APART = ("format", "root", "channels", "labels", "regions", "folds", "fold")


def text_of(
    recipe: Recipe, dataset: Dataset, found: Fingerprint, target: Path, notes: Sequence[str]
) -> str:
    """Write a recipe for a data set.

    Args:
        recipe: what was said of the data, folds chosen.
        dataset: what the folder holds.
        found: what the images are.
        target: the file that it is for.
        notes: what is odd in the data.
    """
    base = _base(recipe, found)
    lines = [
        *_head(dataset, target, notes),
        f"extends: {base}",
        "",
        *([] if dataset.objects is None else ["task: detection"]),
        *_data(recipe, dataset, base),
        *_folds(recipe, dataset),
        "",
        *_objects(recipe, dataset),
        "trainer:",
        "  budget: 15m  # wall-clock training time; or steps: N, or epochs: N",
        "",
        "logger: csv  # wandb, tensorboard, none, or a list",
        *_or_boxes(dataset),
        "",
    ]
    return "\n".join(lines)


def _head(dataset: Dataset, target: Path, notes: Sequence[str]) -> list[str]:
    verb = "segment" if dataset.objects is None else "find"
    foreground = ", ".join(dataset.labels.foreground)
    lines = [
        f"# {target.stem}: {verb} {foreground} in {', '.join(dataset.channels)}.",
        f"#   medseg run {shlex.quote(str(target))}",
        f"# {count(len(dataset.cases), 'labelled case')} in {dataset.format} layout.",
    ]
    if notes:
        lines += ["#", "# What is odd in the data:"]
    for note in notes:
        lines += textwrap.wrap(note, 96, initial_indent="# - ", subsequent_indent="#   ")
    return [*lines, ""]


def _data(recipe: Recipe, dataset: Dataset, base: str) -> list[str]:
    scheme, asked = dataset.labels, build.plain(recipe.data)["regions"]
    ignored = {} if scheme.ignore is None else {"ignore": scheme.ignore}
    options = build.format_options(recipe)
    lines = [
        "data:",
        f"  format: {dataset.format}",
        f"  root: {json.dumps(recipe.data.root)}",
        *[f"  {key}: {json.dumps(options[key])}" for key in options if key != "value_map"],
        *[f"  # {line}" for line in _scaled(base, dataset)],
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
    return lines


def _scaled(base: str, dataset: Dataset) -> list[str]:
    if dataset.objects is None:
        return list(_SCALED[base])
    return [line.replace("labels", "objects") for line in _SCALED[base]]


def _objects(recipe: Recipe, dataset: Dataset) -> list[str]:
    """Say what finds objects, what one is, and what an image without any is."""
    rule = dataset.objects
    if rule is None:
        return []
    network, why = _NETWORKS[rule.source]
    drawn = rule.source == "boxes"
    given = {k: v for k, v in build.plain(recipe.detection).items() if recipe.states("detection")}
    defaults = build.plain(type(recipe.detection)())
    apart = ("objects", "smallest", "empty")
    more = {k: v for k, v in given.items() if k not in apart and v != defaults[k]}
    return [
        f"network: {network}  # {why}",
        "detection:",
        f"  objects: {rule.source}  # {_OBJECTS[rule.source]}",
        *([] if drawn else [f"  smallest: {rule.smallest}  # voxels; less is a speck, no object"]),
        f"  empty: {rule.empty}  # an image without objects shows none; error: it was forgotten",
        *[f"  {key}: {json.dumps(value)}" for key, value in more.items()],
        "",
    ]


def _or_boxes(dataset: Dataset) -> list[str]:
    if dataset.objects is not None:
        return []
    return [
        "",
        "# To find a box around each connected component of a class instead (with",
        "# detection.objects: instances around each value): task: detection",
    ]


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
    if data.folds != MOST_FOLDS or not (given or data.fold == "all"):
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
