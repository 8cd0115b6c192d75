"""Which case is where: ``splits.json``, and the cases of the fold that a recipe trains."""

from __future__ import annotations

from pathlib import Path

from medseg.data.case import Case, Dataset
from medseg.data.splits import check_splits, make_splits, read_splits, write_splits
from medseg.errors import InputError
from medseg.recipe import Recipe


def cases_of_fold(
    recipe: Recipe, dataset: Dataset, target: Path
) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Write ``splits.json`` and return the training and validation cases of the recipe's fold.

    With ``data.fold: all`` every case trains and none validates.

    Raises:
        InputError: the fold does not exist, or the user's splits do not fit the data set.
    """
    if recipe.data.splits:
        splits = read_splits(Path(recipe.data.splits), dataset.cases)
    elif dataset.splits:
        splits = check_splits(dataset.splits, dataset.cases)
    elif recipe.data.fold == "all":
        splits = [{"train": [case.id for case in dataset.cases], "val": []}]
    else:
        splits = make_splits(dataset.cases, recipe.data.folds)
    if not (recipe.data.fold == "all" and target.is_file()):
        write_splits(target, splits)
    if recipe.data.fold == "all":
        return dataset.cases, ()
    fold = recipe.data.fold
    if fold >= len(splits):
        raise InputError(
            f"there is no fold {fold}",
            file=recipe.data.splits or recipe.source,
            expected=f"data.fold from 0 to {len(splits) - 1}, or all",
        )
    by_id = {case.id: case for case in dataset.cases}
    chosen = splits[fold]
    return tuple(by_id[i] for i in chosen["train"]), tuple(by_id[i] for i in chosen["val"])
