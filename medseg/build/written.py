"""Data that are written into the run's folder before they can be read: phantoms, videos' frames."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from medseg.data.case import Dataset
from medseg.data.formats import echonet
from medseg.errors import InputError
from medseg.recipe import Recipe

Progress = Callable[[int, int], None]

# phantom_mr_30_0, .phantom_mr_30_0.ab12.partial, echonet_0123abcd
_NAMES = re.compile(rf"\.phantom_\w+\.\w+\.partial|phantom_\w+|{echonet.NAME}_[0-9a-f]{{8}}")


def is_written(path: Path) -> bool:
    """Tell by its name a folder that is written here, whole or not yet."""
    return path.is_dir() and bool(_NAMES.fullmatch(path.name))


def is_to_be_written(recipe: Recipe, run_dir: Path) -> bool:
    """Say whether there is anything to write before a recipe's data can be read."""
    data = recipe.data
    if data.format == "phantom":
        return data.phantom is not None and not _phantom_folder(recipe, run_dir).is_dir()
    if data.root is None or not of_videos(Path(data.root), data.format):
        return False
    from medseg.data.prepare.echonet import FRAMES

    return not (_frames_folder(Path(data.root), run_dir) / FRAMES).is_file()


def of_videos(root: Path, layout: str) -> bool:
    """Say whether a data set is of videos, whose frames must be cut out."""
    if layout == "auto":
        return root.is_dir() and echonet.recognise(root) is not None
    return layout == echonet.NAME


def frames(
    root: Path, run_dir: Path, *, few: int | None = None, progress: Progress | None = None
) -> tuple[Path, tuple[str, ...]]:
    """Cut frames out of videos; return their folder, and what was odd, in words.

    Raises:
        InputError: see `medseg.data.prepare.echonet.extract`.
    """
    from medseg.data.prepare.echonet import extract

    folder = _frames_folder(root, run_dir)
    return folder, extract(root, folder, few=few, progress=progress)


def phantom(
    recipe: Recipe, run_dir: Path, *, few: int | None = None, progress: Progress | None = None
) -> Path:
    """Write the phantom that a recipe describes; return its folder.

    Raises:
        InputError: the recipe does not say which; or see `medseg.data.phantoms.ensure`.
    """
    from medseg.data import phantoms  # imports SciPy: half a second that real data need not wait

    described, folder = recipe.data.phantom, _phantom_folder(recipe, run_dir)
    assert described is not None
    cases = described.cases if few is None else min(few, described.cases)
    return phantoms.ensure(
        described.kind, folder, cases=cases, seed=described.seed, progress=progress
    )


def as_many(found: Dataset, count: int) -> Dataset:
    """Return a data set of so many cases, which share the files of the few that there are."""
    few = found.cases
    cases = tuple(replace(few[i % len(few)], id=f"{i:05d}") for i in range(count))
    return replace(found, cases=cases)


def _frames_folder(root: Path, run_dir: Path) -> Path:
    from medseg.data.prepare.echonet import state_of

    return run_dir / f"{echonet.NAME}_{state_of(root)}"


def _phantom_folder(recipe: Recipe, run_dir: Path) -> Path:
    described = recipe.data.phantom
    if described is None:
        raise InputError(
            "data.format is phantom, but data.phantom does not say which",
            file=recipe.at("data"),
            remedy="add data.phantom={kind: mr}",
        )
    return run_dir / f"phantom_{described.kind}_{described.cases}_{described.seed}"
