"""``choose``: cross-validated runs -> the run, or the pair of runs, that is best."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from medseg import build
from medseg.atomic import write_text
from medseg.data.case import Dataset
from medseg.data.splits import Split
from medseg.errors import InputError
from medseg.inference.postprocess.file import NAME
from medseg.recipe import load
from medseg.stages import choose_boxes, compare, evaluate, postprocess_choice, ranking
from medseg.stages.masks import existing
from medseg.stages.pairs import pairing
from medseg.stages.ranking import Runs
from medseg.stages.reporter import Reporter
from medseg.stages.splits import recorded_splits


def run(
    runs: Sequence[Path],
    output: Path,
    *,
    report: Reporter,
    device: str = "auto",
    trust: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Rank runs and pairs of runs by their cross-validated scores, and write ``choice.json``.

    Masks are ranked by mean Dice, boxes by mAP, see `medseg.stages.choose_boxes`.

    A pair is scored on masks that fold by fold its two networks make together of the cases that
    neither of them has seen; a cascade goes on from what its own first stage says of them, which
    has not seen them either. nnU-Net chooses among its configurations like this (F. Isensee et al.,
    Nature Methods 18, 2021). The best of many candidates looks a little better than it is.

    Args:
        runs: run folders, each with every fold trained on the same splits.
        output: folder for the pairs' masks and scores, and for the choice.
        report: told how far it is, and what came out.
        device: where pairs predict.
        trust: packages whose code may run.

    Returns:
        ``candidates``, best first (``runs``, mean ``dice`` or ``map``, the same ``per_class``);
        ``best``, the runs of the first; ``gain`` of a best pair over the best single run, as
        `compare` gives it overall, else ``None``; ``postprocessing`` of a best pair (as
        `postprocess_choice` returns it), chosen by its masks or boxes, else ``None``: a single run
        has its own; ``command``, which predicts new images.

    Raises:
        InputError: fewer than two runs, or one of them twice; one is not cross-validated, or on
            other splits; two do not fit together; or masks and boxes were scored.
    """
    if len(runs) < 2:
        raise InputError("there is nothing to choose from", expected="two runs or more")
    if len({path.resolve() for path in runs}) < len(runs):
        raise InputError(
            "a run is named twice", expected="each run once", found=", ".join(map(str, runs))
        )
    scores: dict[Runs, Mapping[str, Any]] = {(path,): compare.read(path) for path in runs}
    task = _task_of(runs, scores)
    splits = _same_splits(runs)
    for path in runs:
        _require_every_fold(path, scores[(path,)], splits)
    dataset = build.build_dataset(load(str(runs[0] / "recipe.yaml"), trust=trust), runs[0])
    if task == "detection":
        return choose_boxes.run(scores, output, dataset, splits, report=report)
    paired = pairing(runs, dataset, splits, device=device, trust=trust)
    folders: dict[Runs, Path] = {}
    for i, j in combinations(range(len(runs)), 2):
        pair = (runs[i], runs[j])
        folder = folders[pair] = output / f"{i}_{runs[i].name}+{j}_{runs[j].name}"
        report.stage("ensemble", f"{pair[0]} with {pair[1]}")
        paired.predict(pair, folder, report=report)
        scores[pair] = _score(folder, dataset, splits, like=scores[(runs[0],)])
    ranked = ranking.DICE.ranked(scores)
    (output / NAME).unlink(missing_ok=True)  # of an earlier choice
    cleaned = None
    if ranked[0] in folders:
        trials = postprocess_choice.choose_into(
            output / NAME,
            existing(folders[ranked[0]], dataset.cases),
            dataset,
            empty=scores[ranked[0]]["empty"]["policy"],
            folds=len(splits),
            report=report,
        )
        cleaned = {"file": str(output / NAME), **postprocess_choice.summary(trials)}
    return ranking.write(output, ranking.DICE, ranked, scores, cleaned)


def _task_of(runs: Sequence[Path], scores: Mapping[Runs, Mapping[str, Any]]) -> str:
    tasks = {path: compare.task_of(scores[(path,)]) for path in runs}
    other = [path for path in runs if tasks[path] != tasks[runs[0]]]
    if other:
        raise InputError(
            "masks and boxes have no score in common, so none of the runs is the better",
            file=other[0],
            expected=f"a {tasks[runs[0]]}, as {runs[0]}",
            found=f"a {tasks[other[0]]}",
            remedy="choose among the runs of one task",
        )
    return tasks[runs[0]]


def _score(
    folder: Path, dataset: Dataset, splits: Sequence[Split], *, like: Mapping[str, Any]
) -> dict[str, Any]:
    """Score the masks of a pair by the rule for empty masks that the single runs were scored by."""
    masks = existing(folder, dataset.cases)
    metrics = evaluate.score(
        [(c.id, masks[c.id], c.label) for c in dataset.cases if c.id in masks and c.label],
        dataset.labels,
        dataset.value_map,
        empty=like["empty"]["policy"],
        folds={f"fold_{i}": split["val"] for i, split in enumerate(splits)},
    )
    write_text(folder / "metrics.json", json.dumps(metrics, indent=1))
    return metrics


def _same_splits(runs: Sequence[Path]) -> list[Split]:
    """Return the splits that runs share."""
    first = recorded_splits(runs[0])
    for path in runs[1:]:
        if recorded_splits(path) != first:
            raise InputError(
                "the runs were cross-validated on different splits",
                file=path / "splits.json",
                expected=f"those of {runs[0] / 'splits.json'}",
                remedy="train one of them on the other's: data.splits=RUN/splits.json",
            )
    return first


def _require_every_fold(path: Path, metrics: Mapping[str, Any], splits: Sequence[Split]) -> None:
    wanted = [f"fold_{i}" for i in range(len(splits))]
    missing = [name for name in wanted if name not in metrics.get("folds", {})]
    if missing or not wanted:
        raise InputError(
            "the run is not cross-validated",
            file=path,
            expected=f"scores of {', '.join(wanted) or 'every fold'}",
            found=f"none of {', '.join(missing)}" if missing else "no splits.json",
            remedy="train all of its folds: medseg run RECIPE --each-fold",
        )
