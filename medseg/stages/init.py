"""``init``: a data folder -> a commented recipe."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg.atomic import write_text
from medseg.data.case import Dataset
from medseg.data.prepare.problems import looks_like_ct
from medseg.errors import InputError
from medseg.planning.fingerprint import Fingerprint
from medseg.recipe import Recipe
from medseg.recipe.overrides import read_overrides
from medseg.recipe.problems import Problem, raise_all
from medseg.stages import look
from medseg.stages.init_text import MOST_FOLDS, text_of
from medseg.stages.inspect import oddities
from medseg.stages.reporter import Reporter
from medseg.stages.splits import folds_of


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
            cases validate; ``task=detection`` and ``detection.key=value``: what is to be found;
            they go into the recipe.
        output: the recipe to write; default: ``<folder name>.yaml`` in the working folder.
        report: how to speak.
        overwrite: replace an existing recipe.

    Raises:
        InputError: the layout is unknown, cases cannot be read, they cannot be dealt out to folds
            as asked, a key of another part of a recipe is given, or the recipe exists already.
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
    write_text(target, text_of(recipe, dataset, found, target, notes))
    report.say(f"wrote {target}; train with: medseg run {shlex.quote(str(target))}")
    return target


def _stated(overrides: Sequence[str]) -> Mapping[str, Any]:
    """Return what is said of the data; anything else is refused, for it would be lost."""
    problems: list[Problem] = []
    words = read_overrides(overrides, problems).plain()
    raise_all(problems)
    data = words.pop("data", {})
    data = data if isinstance(data, Mapping) else {}  # no mapping: reading the recipe says so
    for key in ("task", "detection"):
        words.pop(key, None)
    if words or "phantom" in (data.get("format"), *data):
        raise InputError(
            "init takes data.KEY=VALUE, task=detection and detection.KEY=VALUE only, and no "
            "phantoms",
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
        return _with(recipe, folds=min(MOST_FOLDS, patients))
    return recipe if "fold" in stated else _with(recipe, fold="all")


def _is_ct_unsaid(recipe: Recipe, found: Fingerprint) -> bool:
    """Tell whether all channels that nobody calls anything look like CT."""
    if recipe.data.modality != "auto" or isinstance(recipe.data.channels, Mapping):
        return False
    unsaid = [i for i, name in enumerate(found.modalities) if name == "other"]
    return bool(unsaid) and all(looks_like_ct(found, channel) for channel in unsaid)


def _with(recipe: Recipe, **values: Any) -> Recipe:
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=values)})
