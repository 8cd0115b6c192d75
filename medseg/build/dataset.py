"""The data set that a recipe names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from medseg.build import written
from medseg.data import formats
from medseg.data.case import Dataset
from medseg.data.formats import echonet
from medseg.errors import InputError
from medseg.recipe import Recipe


def plain(section: Any) -> dict[str, Any]:
    """Return a recipe, or a section of it, as plain containers."""
    return section.model_dump(mode="json")


def build_dataset(
    recipe: Recipe,
    run_dir: Path,
    *,
    few: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Read the data set; phantoms, and frames of videos, are written into the run folder first.

    Args:
        recipe: says where the data are, and of which layout.
        run_dir: the run's folder.
        few: write only so many phantoms, or frames of so many videos, to see what they are like:
            the other cases have the files of these.
        progress: told how many of how many are written.

    Raises:
        InputError: the folder is missing, or is not what the recipe says.
    """
    data = recipe.data
    root, layout = data.root, data.format
    if layout == "phantom":
        root = str(written.phantom(recipe, run_dir, few=few, progress=progress))
        layout = "auto"
    if root is None:
        raise InputError(
            "the recipe does not say where the data are",
            file=recipe.at("data"),
            remedy="add data.root=FOLDER",
        )
    channels, labels = data.channels, data.labels
    notes: tuple[str, ...] = ()
    if videos := written.of_videos(Path(root), layout):
        folder, notes = written.frames(Path(root), run_dir, few=few, progress=progress)
        root = str(folder)
        layout, labels = "datalist", labels or echonet.LABELS
    try:
        found = formats.read(
            root,
            format=layout,
            channels=None if channels is None else tuple(channels),
            labels=labels,
            regions=data.regions,
            options=format_options(recipe),
            objects=object_keys(recipe),
        )
    except InputError as error:  # labels and regions that contradict each other lie in no file
        error.file = error.file or recipe.at("data", "regions")
        raise
    if recipe.task == "segmentation":
        _require_masks(found)
    if videos:
        return replace(found, format=echonet.NAME, notes=(*notes, *found.notes))
    if few is not None and data.phantom is not None and data.format == "phantom":
        return written.as_many(found, data.phantom.cases)
    return found


def _require_masks(found: Dataset) -> None:
    """Refuse to segment what is described as objects only."""
    if found.objects is None:
        return
    names = ", ".join(found.labels.foreground)
    kind = "boxes" if found.objects.source == "boxes" else "maps of numbered objects"
    raise InputError(
        f"is a data set for detection in {found.format} layout, which says where objects are, but "
        "not which voxels are of which class",
        file=found.root,
        expected="masks of the classes",
        found=f"{kind} ({names}) in {len(found.cases)} images",
        remedy="find the objects instead: task: detection; or give masks",
    )


def object_keys(recipe: Recipe) -> dict[str, Any] | None:
    """Return what the recipe says an object is, where objects are to be found.

    Of masks the connected components are, if nobody says otherwise; a layout that lists objects
    says so itself.
    """
    if recipe.task != "detection":
        return None
    stated = recipe.detection
    keys: dict[str, Any] = {
        "connectivity": stated.connectivity,
        "smallest": stated.smallest,
        "empty": stated.empty,
    }
    return keys if stated.objects == "auto" else {**keys, "source": stated.objects}


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
    stated = recipe.to_dict()["data"]
    return {k: v for k, v in format_options(recipe).items() if "${" not in str(stated[k])}
