"""Is a cascade's first stage there, of the same data, and has it held out every case?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from medseg import build
from medseg.data.case import Dataset
from medseg.data.splits import Split
from medseg.errors import InputError
from medseg.labels import LabelScheme
from medseg.recipe import Recipe
from medseg.stages import inspect
from medseg.stages.commands import run_again
from medseg.stages.masks import existing
from medseg.stages.names import some
from medseg.stages.splits import folds_of, recorded_splits


def check(recipe: Recipe, dataset: Dataset, *, cases_are_known: bool = True) -> None:
    """Look at a first stage as a training of the second will, and change nothing.

    Args:
        recipe: of the second stage.
        dataset: its data set.
        cases_are_known: its cases are those of the training, not made up to stand for them.

    Raises:
        InputError: as `require_same_data`, `require_every_mask` and `require_fold`.
    """
    first = build.first_folder(recipe)
    require_same_data(recipe, dataset, cases_are_known=cases_are_known)
    if not recipe.cascade.out_of_fold:
        require_fold(recipe)
    elif cases_are_known:
        require_every_mask(recipe, dataset, existing(first / "predictions", dataset.cases))


def require_same_data(recipe: Recipe, dataset: Dataset, *, cases_are_known: bool = True) -> None:
    """Make sure that the first stage is trained, on the same data, labels and channels.

    Raises:
        InputError: it is not.
    """
    first = build.first_folder(recipe)
    if first.resolve() == Path(recipe.run_dir).resolve():
        raise InputError(
            "a run cannot be its own first stage",
            file=recipe.at("cascade", "first"),
            found=f"cascade.first and run_dir are both {first}",
            remedy="name the folder of another run, or lowres or coarse, which are trained here",
        )
    found = inspect.read(first / "fingerprint.json")
    if found is None:
        raise InputError(
            "the first stage of this cascade is not trained",
            file=first,
            expected="a run folder with predictions of the cases that its folds held out",
            found=None if (first / "recipe.yaml").is_file() else "no run",
            remedy=_command(recipe),
        )
    other = "a first stage of the same labels and channels, or another cascade.first"
    values = dict(LabelScheme.from_dict(found.labels).values)
    if values != dict(dataset.labels.values):
        raise InputError(
            "the first stage was trained for other labels",
            file=first,
            expected=str(dict(dataset.labels.values)),
            found=str(values),
            remedy=other,
        )
    if [c.casefold() for c in found.channels] != [c.casefold() for c in dataset.channels]:
        raise InputError(
            "the first stage was trained on other channels",
            file=first,
            expected=", ".join(dataset.channels),
            found=", ".join(found.channels),
            remedy=other,
        )
    strange = sorted({case.id for case in dataset.cases} - {case.id for case in found.cases})
    if strange and cases_are_known:
        raise InputError(
            "the first stage was trained on another data set",
            file=first,
            expected=f"the {len(dataset.cases)} cases of {dataset.root}",
            found=f"it does not know {some(strange)}",
            remedy="another cascade.first, or lowres or coarse, which are trained on these data",
        )


def require_every_mask(recipe: Recipe, dataset: Dataset, masks: Mapping[str, Path]) -> None:
    """Make sure that folds of the first stage have predicted every case that they held out.

    Raises:
        InputError: naming the cases and folds that are missing, and what makes them.
    """
    missing = [case.id for case in dataset.cases if case.id not in masks]
    if not missing:
        return
    first = build.first_folder(recipe)
    splits = recorded_splits(first)
    if splits:
        _require_held_out(missing, splits, first / "splits.json")
    folds = [i for i, split in enumerate(splits) if set(missing) & set(split["val"])]
    raise InputError(
        "the first stage has not predicted every case that it held out",
        file=first / "predictions",
        expected=f"masks of all {len(dataset.cases)} cases, from every fold",
        found=f"none of {some(missing)}"
        + (f"; missing: {', '.join(f'fold {i}' for i in folds)}" if folds else ""),
        remedy=_command(recipe, folds),
    )


def require_fold(recipe: Recipe) -> None:
    """Make sure that the first stage has trained the fold that the second trains.

    Raises:
        InputError: it has not.
    """
    fold = build.first_folder(recipe) / f"fold_{recipe.data.fold}"
    if not fold.is_dir():
        raise InputError(
            "the first stage has not trained this fold", file=fold, remedy=_command(recipe)
        )


def trainings(recipe: Recipe, dataset: Dataset, first: Recipe) -> int:
    """Count the folds of a first stage that is trained along whose masks are not there yet.

    Args:
        recipe: of the second stage.
        dataset: of both.
        first: recipe of the first stage.

    Raises:
        InputError: the second stage needs what no fold of the first will hold out.
    """
    folder = Path(first.run_dir)
    splits = folds_of(first, dataset, folder)
    wanted: Sequence[int | str] = [recipe.data.fold]
    if recipe.cascade.out_of_fold:
        _require_held_out([case.id for case in dataset.cases], splits, recipe.source)
        wanted = range(len(splits))
    there = existing(folder / "predictions", dataset.cases)
    known = recorded_splits(folder)
    done = {i for i, split in enumerate(known) if there.keys() >= set(split["val"])}
    return len([fold for fold in wanted if fold not in done])


def _require_held_out(
    cases: Collection[str], splits: Sequence[Split], file: Path | str | None
) -> None:
    never = sorted(set(cases) - {case for split in splits for case in split["val"]})
    if never:
        raise InputError(
            "no fold of the first stage holds out these cases",
            file=file,
            found=some(never),
            remedy="cross-validate it (data.folds), or accept predictions of cases that it was "
            "trained on: cascade.out_of_fold=false",
        )


def _command(recipe: Recipe, folds: Sequence[int] = ()) -> str:
    """Say what trains the first stage."""
    first = build.first_folder(recipe)
    if build.trains_first(recipe):
        return "medseg run RECIPE, which trains the first stage as well"
    if not (first / "recipe.yaml").is_file():
        return "cascade.first=RUN, the folder of a trained run; or lowres or coarse, trained here"
    each = f"data.fold={folds[0]}" if len(folds) == 1 else "--each-fold"
    return run_again(first, each)
