"""Does a training fit this machine: memory, disk and time, before anything long starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from medseg import build
from medseg.build.device import check_device, device_count, device_name, training_device
from medseg.data.formats.files import count
from medseg.recipe import Recipe
from medseg.stages import first_stage, needs
from medseg.stages.dry_look import Look, look
from medseg.stages.foreseen import Foreseen, foreseen
from medseg.stages.need import Need
from medseg.stages.splits import folds_of


def run(
    recipe: Recipe,
    folder: Path,
    *,
    first: Recipe | None = None,
    trust: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> list[Need]:
    """Look at what a recipe's training needs and at what this machine has; nothing is written.

    Data are judged by ``fingerprint.json`` where the run has one, else by a few files' headers.
    One case is read and preprocessed, and one training step is taken on made-up images: of a
    cascade for each stage that is yet to be trained.

    Args:
        recipe: the recipe.
        folder: of the run.
        first: recipe of the first stage, if the recipe is of a cascade that trains it along.
        trust: packages whose code may run.
        say: told what is being tried.

    Raises:
        InputError: the device, the data or the fold are not there, the plan does not fit the data,
            the weights to start from do not fit the network, or a first stage that is trained
            already is missing, or of something else.
        NoLowResolution: ``first`` has nothing to gain.
    """
    check_device(recipe)
    with foreseen(recipe, folder) as data:
        folds_of(recipe, data.dataset, folder)
        before = None if first is None else _first(recipe, first, data, trust, say)
        if before is None and recipe.cascade.first is not None:
            first_stage.check(recipe, data.dataset, cases_are_known=not data.made_up)
        seen = look(recipe, folder, data, trust=trust, say=say)
        looks = [seen] if before is None else [before, seen]
        return [
            _device(recipe),
            Need("data", f"{count(len(data.found.cases), 'case')}, {data.told}"),
            *([] if recipe.cascade.first is None else [_cascade(recipe, seen, before, data)]),
            *([] if before is None else needs.of_first(before, data.dataset)),
            *needs.of_one(seen, data.dataset),
            needs.disk(looks, folder),
            *needs.whole(looks),
        ]


def _first(
    recipe: Recipe,
    first: Recipe,
    data: Foreseen,
    trust: Sequence[str],
    say: Callable[[str], None],
) -> Look | None:
    """Look at a first stage that is trained along; ``None``: it is trained."""
    left = first_stage.trainings(recipe, data.dataset, first)
    if not left:
        return None
    say("  the first stage:")
    return look(first, Path(first.run_dir), data, trainings=left, trust=trust, say=say)


def _device(recipe: Recipe) -> Need:
    name, processes = device_name(training_device(recipe)), device_count(recipe)
    return Need("device", name if processes == 1 else f"{processes} x {name}")


def _cascade(recipe: Recipe, seen: Look, before: Look | None, data: Foreseen) -> Need:
    """Say what is trained, and which images the second stage was judged by."""
    if before is None:
        text = f"the first stage is trained: {build.first_folder(recipe)}"
    else:
        folds = "one fold" if before.trainings == 1 else f"{before.trainings} folds"
        text = f"{folds} of the first stage, then the second"
    cut = seen.found is not data.found
    return Need("cascade", f"{text}, on {'cropped' if cut else 'whole'} images")
