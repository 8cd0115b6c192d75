"""``choose`` of detections: runs and joined pairs of runs in order of mAP."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from medseg.atomic import write_text
from medseg.data.case import Dataset
from medseg.data.splits import Split
from medseg.errors import InputError
from medseg.inference import checkpoint
from medseg.inference.detection.choosing import choose
from medseg.inference.detection.found_file import read_boxes
from medseg.inference.detection.joining import join
from medseg.inference.detection.keep_file import NAME
from medseg.inference.detection.keep_text import to_text
from medseg.metrics.evaluate_detections import evaluate_detections
from medseg.metrics.hits import CentreHit, HitRule, IouHit
from medseg.stages import ranking
from medseg.stages.commands import run_again
from medseg.stages.find import existing
from medseg.stages.found_cases import Cases, read_cases
from medseg.stages.names import some
from medseg.stages.ranking import Runs
from medseg.stages.reporter import Reporter


def run(
    scores: Mapping[Runs, Mapping[str, Any]],
    output: Path,
    dataset: Dataset,
    splits: Sequence[Split],
    *,
    report: Reporter,
) -> dict[str, Any]:
    """Rank runs and pairs by cross-validated mAP, and write ``choice.json``.

    What two runs found in a case while neither had seen it is joined as ``medseg predict RUN --with
    RUN`` joins boxes, from the files that the runs have left; no network is needed.

    Args:
        scores: ``(run,)`` -> its metrics.json, cross-validated on the same splits.
        output: folder for the pairs' boxes and scores, and for the choice.
        dataset: whose cases the runs held out.
        splits: of all of them.
        report: told what came out.

    Returns:
        see `medseg.stages.choose.run`.

    Raises:
        InputError: predictions of held-out cases are gone, or two runs find other classes.
    """
    runs = [path for (path,) in scores]
    held_out = [case for split in splits for case in split["val"]]
    found = {path: _boxes(path, dataset, held_out) for path in runs}
    folds = {f"fold_{i}": split["val"] for i, split in enumerate(splits)}
    hit = _hit(scores[(runs[0],)])
    overlap = {path: _overlap(path) for path in runs}
    every, cases = dict(scores), dict[Runs, Cases]()
    for i, j in combinations(range(len(runs)), 2):
        pair = (runs[i], runs[j])
        folder = output / f"{i}_{runs[i].name}+{j}_{runs[j].name}"
        report.stage("ensemble", f"{pair[0]} with {pair[1]}")
        joined = {}
        folder.mkdir(parents=True, exist_ok=True)
        for case in held_out:
            boxes = [read_boxes(found[path][case]) for path in pair]
            joined[case] = folder / f"{case}.json"
            # By the first run's IoU, as `JoinedDetector` joins them.
            join(boxes, threshold=overlap[pair[0]]).save(joined[case])
        with report.progress("evaluate") as advance:
            cases[pair] = read_cases(joined, dataset, advance=advance)
        every[pair] = evaluate_detections(
            cases[pair], dataset.labels.foreground, hit=hit, folds=folds
        )
        write_text(folder / "metrics.json", json.dumps(every[pair], indent=1))
    ranked = ranking.MAP.ranked(every)
    (output / NAME).unlink(missing_ok=True)  # of an earlier choice
    cleaned = None
    if ranked[0] in cases:
        cleaned = _keep(output / NAME, cases[ranked[0]], dataset, hit=hit, folds=len(splits))
    return ranking.write(output, ranking.MAP, ranked, every, cleaned)


def _keep(
    target: Path, cases: Cases, dataset: Dataset, *, hit: HitRule, folds: int
) -> dict[str, Any]:
    """Choose which boxes of a pair are kept, and write it down."""
    classes = dataset.labels.foreground
    choice = choose(list(cases.values()), classes, hit=hit)
    of = f"{len(cases)} held-out cases of {folds} folds"
    write_text(target, to_text(choice, classes, cases=of))
    return {"file": str(target), "rule": choice.rule.to_dict()}


def _boxes(run: Path, dataset: Dataset, held_out: Sequence[str]) -> dict[str, Path]:
    found = existing(run / "predictions", dataset.cases)
    lost = [case for case in held_out if case not in found]
    if lost:
        raise InputError(
            "predictions of held-out cases are gone",
            file=run / "predictions",
            found=f"no boxes of {some(lost)}",
            remedy=run_again(run, "--each-fold"),
        )
    return found


def _overlap(run: Path) -> float:
    """Return the IoU from which a run's boxes show one object."""
    return float(checkpoint.read(checkpoint.find(run)[0], task="detection").detection["overlap"])


def _hit(metrics: Mapping[str, Any]) -> HitRule:
    """Return the rule by which a run was scored."""
    name = str(metrics["hit"])
    return IouHit(float(name.rpartition(" ")[2])) if name.startswith("IoU") else CentreHit()
