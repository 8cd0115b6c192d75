"""The data set that a recipe names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from medseg.data import formats
from medseg.data.case import Dataset
from medseg.data.formats import echonet
from medseg.errors import InputError
from medseg.recipe import Recipe


def plain(section: Any) -> dict[str, Any]:
    """Return a recipe, or a section of it, as plain containers."""
    return section.model_dump(mode="json")


def build_dataset(
    recipe: Recipe, run_dir: Path, *, progress: Callable[[int, int], None] | None = None
) -> Dataset:
    """Read the data set; phantoms, and frames of videos, are written into the run folder first.

    Raises:
        InputError: the folder is missing, or is not what the recipe says.
    """
    data = recipe.data
    root, layout = data.root, data.format
    if layout == "phantom":
        root, layout = str(_phantom(recipe, run_dir, progress)), "auto"
    if root is None:
        raise InputError(
            "the recipe does not say where the data are",
            file=recipe.at("data"),
            remedy="add data.root=FOLDER",
        )
    channels, labels = data.channels, data.labels
    notes: tuple[str, ...] = ()
    if videos := _of_videos(Path(root), layout):
        root, notes = _frames(Path(root), run_dir, progress)
        layout, labels = "datalist", labels or echonet.LABELS
    try:
        found = formats.read(
            root,
            format=layout,
            channels=None if channels is None else tuple(channels),
            labels=labels,
            regions=data.regions,
            options=format_options(recipe),
        )
    except InputError as error:  # labels and regions that contradict each other lie in no file
        error.file = error.file or recipe.at("data", "regions")
        raise
    return replace(found, format=echonet.NAME, notes=(*notes, *found.notes)) if videos else found


def format_options(recipe: Recipe) -> dict[str, Any]:
    """Return the keys under ``data`` that say how a folder is to be read."""
    keys = (
        "value_map",
        "region_order",
        "group_pattern",
        "images_folder",
        "labels_folder",
        "image_pattern",
        "label_pattern",
        "datalist",
        "held_out",
    )
    data = recipe.data.model_dump(mode="json")
    return {key: data[key] for key in keys if data[key]}


def portable_options(recipe: Recipe) -> dict[str, Any]:
    """Return `format_options` without what comes from the environment: checkpoints travel."""
    written = recipe.to_dict()["data"]
    return {k: v for k, v in format_options(recipe).items() if "${" not in str(written[k])}


def _of_videos(root: Path, layout: str) -> bool:
    if layout == "auto":
        return root.is_dir() and echonet.recognise(root) is not None
    return layout == echonet.NAME


def _frames(
    root: Path, run_dir: Path, progress: Callable[[int, int], None] | None
) -> tuple[str, tuple[str, ...]]:
    from medseg.data.prepare.echonet import extract, state_of

    folder = run_dir / f"{echonet.NAME}_{state_of(root)}"
    notes = extract(root, folder, progress=progress)
    return str(folder), notes


def _phantom(recipe: Recipe, run_dir: Path, progress: Callable[[int, int], None] | None) -> Path:
    phantom = recipe.data.phantom
    if phantom is None:
        raise InputError(
            "data.format is phantom, but data.phantom does not say which",
            file=recipe.at("data"),
            remedy="add data.phantom={kind: mr}",
        )
    from medseg.data import phantoms  # imports SciPy: half a second that real data need not wait

    folder = run_dir / f"phantom_{phantom.kind}_{phantom.cases}_{phantom.seed}"
    return phantoms.ensure(
        phantom.kind, folder, cases=phantom.cases, seed=phantom.seed, progress=progress
    )
