"""The data set of a recipe before anything of its run is written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from medseg import build
from medseg.data.case import Dataset
from medseg.data.prepare.foretelling import foretell_fingerprint
from medseg.planning.fingerprint import Fingerprint
from medseg.recipe import Recipe
from medseg.stages import inspect

# Phantoms, or videos, that the others are judged by.
_FEW = 4


@dataclass(frozen=True)
class Foreseen:
    """A data set as a training will find it.

    Attributes:
        dataset: the data set.
        found: what the data are.
        told: how that is known, in words.
        made_up: the cases stand for phantoms that are yet to be written, and have other ids.
    """

    dataset: Dataset
    found: Fingerprint
    told: str
    made_up: bool = False


@contextmanager
def foreseen(recipe: Recipe, folder: Path) -> Iterator[Foreseen]:
    """Read a recipe's data set, and write nothing into its run's folder.

    Of phantoms and videos' frames that are to be written there, a few are for a moment.

    Raises:
        InputError: as `medseg.build.build_dataset`; or there is no labelled case.
    """
    if not build.is_to_be_written(recipe, folder):
        dataset = build.build_dataset(recipe, folder)
        yield Foreseen(dataset, *_fingerprint(folder, dataset))
        return
    with tempfile.TemporaryDirectory(prefix="medseg-") as place:
        dataset = build.build_dataset(recipe, Path(place), few=_FEW)
        made_up = recipe.data.format == "phantom"
        yield Foreseen(dataset, *_fingerprint(folder, dataset), made_up)


def _fingerprint(folder: Path, dataset: Dataset) -> tuple[Fingerprint, str]:
    known = inspect.read(folder / "fingerprint.json")
    if known is not None and [case.id for case in known.cases] == [c.id for c in dataset.cases]:
        return known, "from fingerprint.json"
    how = "guessed from headers, empty margins included"
    if dataset.objects is not None:
        how += ", and from the objects of a few"
    return foretell_fingerprint(dataset), how
