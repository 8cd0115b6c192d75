"""``choose``: cross-validated runs -> the run, or the pair of runs, that segments best."""

from __future__ import annotations

import json
import shlex
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
from medseg.metrics.compare import compare_metrics
from medseg.recipe import load
from medseg.stages import compare, evaluate, postprocess_choice
from medseg.stages.masks import existing
from medseg.stages.pairs import pairing
from medseg.stages.reporter import Reporter
from medseg.stages.splits import recorded_splits

Runs = tuple[Path, ...]


def run(
    runs: Sequence[Path],
    output: Path,
    *,
    report: Reporter,
    device: str = "auto",
    trust: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Rank runs and pairs of runs by their cross-validated mean Dice, and write ``choice.json``.

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
        ``candidates``, best first (``runs``, mean ``dice``, Dice ``per_class``); ``best``, the runs
        of the first; ``gain`` of a best pair over the best single run, as `compare_metrics` gives
        it overall, else ``None``; ``postprocessing`` of a best pair (``file``, ``steps``, ``dice``
        before and after), chosen by its masks, else ``None``: a single run has its own;
        ``command``, which segments new images.

    Raises:
        InputError: fewer than two runs, or one of them twice; one is not cross-validated, or on
            other splits; or two do not fit together.
    """
    if len(runs) < 2:
        raise InputError("there is nothing to choose from", expected="two runs or more")
    if len({path.resolve() for path in runs}) < len(runs):
        raise InputError(
            "a run is named twice", expected="each run once", found=", ".join(map(str, runs))
        )
    scores: dict[Runs, Mapping[str, Any]] = {(path,): compare.read(path) for path in runs}
    splits = _same_splits(runs)
    for path in runs:
        _require_every_fold(path, scores[(path,)], splits)
    dataset = build.build_dataset(load(str(runs[0] / "recipe.yaml"), trust=trust), runs[0])
    paired = pairing(runs, dataset, splits, device=device, trust=trust)
    folders: dict[Runs, Path] = {}
    for i, j in combinations(range(len(runs)), 2):
        pair = (runs[i], runs[j])
        folder = folders[pair] = output / f"{i}_{runs[i].name}+{j}_{runs[j].name}"
        report.stage("ensemble", f"{pair[0]} with {pair[1]}")
        paired.predict(pair, folder, report=report)
        scores[pair] = _score(folder, dataset, splits, like=scores[(runs[0],)])
    ranked = sorted(scores, key=lambda runs: (-_dice(scores[runs]), len(runs)))
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
    choice = _choice(ranked, scores, cleaned)
    write_text(output / "choice.json", json.dumps(choice, indent=1))
    return choice


def show(report: Reporter, choice: Mapping[str, Any]) -> None:
    """Print the ranking, and how to use the best."""
    classes = list(choice["candidates"][0]["per_class"])
    rows = [
        [
            " + ".join(entry["runs"]),
            *("–" if v is None else f"{v:.4f}" for v in entry["per_class"].values()),
            f"{entry['dice']:.4f}",
        ]
        for entry in choice["candidates"]
    ]
    report.table("cross-validated Dice", ["runs", *classes, "mean"], rows)
    if choice["gain"]:
        gain = choice["gain"]
        by = f"{gain['difference']:+.4f} a case, p {gain['p_wilcoxon']:.3g}"
        report.say(f"over the best single run: {by}")
    report.say(f"to segment new images: {choice['command']}")


def _choice(
    ranked: Sequence[Runs],
    scores: Mapping[Runs, Mapping[str, Any]],
    cleaned: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    best = ranked[0]
    single = next(runs for runs in ranked if len(runs) == 1)
    gain = compare_metrics(scores[single], scores[best])["overall"] if best != single else None
    options = "".join(f" --with {shlex.quote(str(path))}" for path in best[1:])
    if cleaned:
        options += f" --postprocessing {shlex.quote(cleaned['file'])}"
    return {
        "schema": 1,
        "candidates": [
            {
                "runs": [str(path) for path in runs],
                "dice": _dice(scores[runs]),
                "per_class": {
                    name: entry["dice"]["mean"] for name, entry in scores[runs]["per_class"].items()
                },
            }
            for runs in ranked
        ],
        "best": [str(path) for path in best],
        "gain": gain,
        "postprocessing": cleaned,
        "command": f"medseg predict {shlex.quote(str(best[0]))} IMAGES{options} -o MASKS",
    }


def _dice(metrics: Mapping[str, Any]) -> float:
    return metrics["mean"]["dice"] or 0.0


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
