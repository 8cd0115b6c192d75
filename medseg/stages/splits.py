"""Which case is where: ``splits.json``, and the cases of the fold that a recipe trains."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from medseg.data.case import Case, Dataset
from medseg.data.splits import Split, check_splits, make_splits, read_splits, write_splits
from medseg.errors import InputError
from medseg.labels import LabelScheme
from medseg.planning.fingerprint import Fingerprint
from medseg.recipe import Recipe

Labels = Mapping[str, Collection[str]]
"""Case id -> the labels that occur in it."""


def cases_of_fold(
    recipe: Recipe,
    dataset: Dataset,
    run_dir: Path,
    *,
    labels: Callable[[], Labels] | None = None,
    say: Callable[[str], None] | None = None,
) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Write ``splits.json`` and return the training and validation cases of the recipe's fold.

    The user's own split file wins over folds that the data set declares, those over the run's
    ``splits.json``; only without any of them folds are dealt. With ``data.fold: all`` every case
    trains and none validates.

    Args:
        recipe: which fold, and how many.
        dataset: its cases.
        run_dir: the run's folder.
        labels: asked which labels occur in which case if folds are dealt, see `make_splits`.
        say: told that folds which were there are dealt anew.

    Raises:
        InputError: the fold does not exist, the user's splits do not fit the data set, or folds of
            this run were trained on others.
    """
    target = run_dir / "splits.json"
    recorded = _recorded(target)
    splits = folds_of(recipe, dataset, run_dir, labels=labels)
    fold = recipe.data.fold
    if splits != recorded:
        if say is not None and target.is_file():
            said = "unreadable" if recorded is None else _difference(recorded, splits)
            say(f"  the folds in splits.json are replaced: {said}")
        write_splits(target, splits)
    if fold == "all":
        return dataset.cases, ()
    by_id = {case.id: case for case in dataset.cases}
    chosen = splits[fold]
    return tuple(by_id[i] for i in chosen["train"]), tuple(by_id[i] for i in chosen["val"])


def folds_of(
    recipe: Recipe,
    dataset: Dataset,
    run_dir: Path | None,
    *,
    labels: Callable[[], Labels] | None = None,
) -> list[Split]:
    """Return the folds of a run without writing them; raises as `cases_of_fold` does.

    Without ``labels``, folds that are yet to be dealt have the right number, not the right cases.
    Without ``run_dir`` they are those of a run that is yet to be.
    """
    recorded = None if run_dir is None else _recorded(run_dir / "splits.json")
    splits = _splits(recipe, dataset, recorded, labels)
    fold = recipe.data.fold
    if fold != "all" and fold >= len(splits):
        raise InputError(
            f"there is no fold {fold}",
            file=recipe.data.splits or recipe.source,
            expected=f"data.fold from 0 to {len(splits) - 1}, or all",
        )
    if run_dir is not None and recorded is not None and splits != recorded:
        _refuse_trained(recipe, run_dir, _difference(recorded, splits))
    return splits


def labels_of(found: Fingerprint) -> Labels:
    """Say which classes, or regions, occur in each case of a fingerprint."""
    scheme = LabelScheme.from_dict(found.labels)
    outputs = list(zip(scheme.foreground, scheme.region_indices(), strict=True))
    return {
        case.id: [name for name, members in outputs if any(case.label_voxels[i] for i in members)]
        for case in found.cases
    }


def recorded_splits(run_dir: Path) -> list[Split]:
    """Read the ``splits.json`` of a run; a missing or spoilt one has no folds."""
    return _recorded(run_dir / "splits.json") or []


def held_out(run_dir: Path) -> dict[str, list[str]]:
    """Say which cases each trained fold of a run held out, by the fold's folder."""
    names = {f"fold_{i}": split["val"] for i, split in enumerate(recorded_splits(run_dir))}
    trained = {path.parents[1].name for path in run_dir.glob("fold_*/checkpoints/*.ckpt")}
    return {name: ids for name, ids in names.items() if name in trained}


def _refuse_trained(recipe: Recipe, run_dir: Path, difference: str) -> None:
    trained = {path.parts[-3] for path in run_dir.glob("fold_*/checkpoints/*.ckpt")}
    if not trained:
        return
    alone = trained == {f"fold_{recipe.data.fold}"}
    raise InputError(
        "folds of this run were trained on other cases",
        file=run_dir / "splits.json",
        found=difference,
        remedy="use another run_dir, or start over "
        + ("with --overwrite" if alone else "in an empty one"),
    )


def _splits(
    recipe: Recipe,
    dataset: Dataset,
    recorded: list[Split] | None,
    labels: Callable[[], Labels] | None,
) -> list[Split]:
    if recipe.data.splits:
        return read_splits(Path(recipe.data.splits), dataset.cases)
    if dataset.splits:
        said = recipe.at("data", "held_out") if recipe.data.held_out else dataset.root
        return check_splits(dataset.splits, dataset.cases, file=said)
    ids = sorted(case.id for case in dataset.cases)
    if recorded is not None and _ids(recorded) == ids:
        folds = len(recorded)
        if folds == recipe.data.folds or (folds == 1 and recipe.data.fold == "all"):
            return recorded
    groups = {case.group or case.id for case in dataset.cases}
    if recipe.data.fold == "all" and len(groups) < recipe.data.folds:
        return [{"train": ids, "val": []}]
    return make_splits(dataset.cases, recipe.data.folds, labels=labels() if labels else None)


def _recorded(target: Path) -> list[Split] | None:
    """Read what an earlier run wrote; a file that was spoilt counts as none."""
    try:
        folds = json.loads(target.read_text(encoding="utf-8"))
        return [{"train": list(fold["train"]), "val": list(fold["val"])} for fold in folds]
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _ids(splits: list[Split]) -> list[str]:
    return sorted({case for fold in splits for part in fold.values() for case in part})


def _difference(old: list[Split], new: list[Split]) -> str:
    before, after = set(_ids(old)), set(_ids(new))
    if before == after:
        return f"the same {len(after)} cases in other folds"
    words = [
        f"{len(names)} {word} ({', '.join(sorted(names)[:3])}{' …' if len(names) > 3 else ''})"
        for word, names in (("new", after - before), ("gone", before - after))
        if names
    ]
    return f"cases: {', '.join(words)}"
