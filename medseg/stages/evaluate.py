"""``evaluate``: masks and references -> ``metrics.json``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medseg.atomic import write_text
from medseg.data.prepare.reading import read_label
from medseg.errors import InputError
from medseg.inference.postprocess import MaskStep, Postprocessor
from medseg.labels import LabelScheme
from medseg.metrics.evaluate import evaluate_pairs, fold_table, table
from medseg.stages import detection_tables, postprocess
from medseg.stages.job import Job
from medseg.stages.reporter import Advance, Reporter
from medseg.stages.run_folder import digest, files_state
from medseg.stages.scored import has_cases
from medseg.stages.splits import held_out

Pair = tuple[str, Path, Path]
MASKS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".png", ".tif", ".tiff", ".bmp")


def run(job: Job, masks: Mapping[str, Path]) -> dict[str, Any]:
    """Score the predictions of a run and write ``metrics.json``."""
    target = job.folder / "metrics.json"
    if job.recipe.data.fold == "all" and has_cases(target):
        job.report.stage("evaluate", f"nothing was held out; {target} keeps what folds gave")
        return json.loads(target.read_text(encoding="utf-8"))
    if not masks:
        metrics: dict[str, Any] = {
            "schema": 1,
            "n_cases": 0,
            "note": "trained on every case (data.fold=all): nothing was held out, so nothing is "
            "measured; best.ckpt holds the averaged weights of the last step",
        }
        write_text(target, json.dumps(metrics, indent=1))
        job.report.stage("evaluate", metrics["note"])
        return metrics
    dataset, empty = job.dataset, job.recipe.evaluation.empty
    pairs = [(c.id, masks[c.id], c.label) for c in dataset.cases if c.id in masks and c.label]
    job.require_unchanged(c for c in dataset.cases if c.id in masks)
    meaning = [dataset.labels.to_dict(), sorted(dataset.value_map.items()), empty]
    folds, steps = held_out(job.folder.path), postprocess.run(job, masks)
    done = [step.to_dict() for step in steps]
    files = files_state([p for pair in pairs for p in pair[1:]])
    inputs = digest(files, meaning, folds, done)
    if target.is_file() and job.folder.is_current("evaluate", inputs):
        metrics = json.loads(target.read_text())
    else:
        with job.report.progress("evaluate") as advance:
            metrics = score(
                pairs,
                dataset.labels,
                dataset.value_map,
                empty=empty,
                folds=folds,
                steps=steps,
                advance=advance,
            )
        write_text(target, json.dumps(metrics, indent=1))
        job.folder.record("evaluate", inputs)
    job.report.stage("evaluate", f"{target}")
    show(job.report, metrics)
    return metrics


def score(
    pairs: Sequence[Pair],
    scheme: LabelScheme,
    value_map: Mapping[int, int] | None = None,
    prediction_map: Mapping[int, int] | None = None,
    *,
    empty: Literal["skip", "one"] = "skip",
    folds: Mapping[str, Sequence[str]] | None = None,
    steps: Sequence[MaskStep] = (),
    advance: Advance = lambda done, total: None,
) -> dict[str, Any]:
    """Compare pairs of mask files, one case in memory at a time.

    With ``steps`` the result has ``postprocessed``, too: the scores of the masks that the steps
    make of the predictions.

    Args:
        pairs: ``(case id, prediction, reference)``.
        scheme: what the values in the files mean.
        value_map: file value -> label value, of the references.
        prediction_map: the same, of the predictions.
        empty: see `evaluate_pairs`.
        folds: see `evaluate_pairs`.
        steps: of postprocessing.
        advance: told how many cases are done.

    Raises:
        InputError: a mask cannot be read, or the two of a pair lie on different grids; or a step is
            for other labels.
    """
    clean = Postprocessor(steps, scheme)
    total = len(pairs) * (2 if steps else 1)

    def read(*, cleaned: bool) -> Iterator[tuple[str, np.ndarray, np.ndarray, Sequence[float]]]:
        found = read_pairs(pairs, scheme, value_map, prediction_map)
        for done, (case, pred, ref, spacing) in enumerate(found, len(pairs) if cleaned else 0):
            advance(done, total)
            yield case, clean(pred, spacing) if cleaned else pred, ref, spacing

    metrics = evaluate_pairs(read(cleaned=False), scheme, empty=empty, folds=folds)
    if steps:
        again = evaluate_pairs(read(cleaned=True), scheme, empty=empty, folds=folds)
        kept = ("n_cases", "cases", "per_class", "mean", "folds")
        metrics["postprocessed"] = {
            "steps": [step.to_dict() for step in steps],
            **{key: again[key] for key in kept if key in again},
        }
    advance(total, total)
    return metrics


def read_pairs(
    pairs: Sequence[Pair],
    scheme: LabelScheme,
    value_map: Mapping[int, int] | None = None,
    prediction_map: Mapping[int, int] | None = None,
) -> Iterator[tuple[str, np.ndarray, np.ndarray, Sequence[float]]]:
    """Read prediction and reference of each pair as `evaluate_pairs` takes them; see `score`."""
    for case, prediction, reference in pairs:
        ref = read_label(reference, scheme, value_map=value_map or {})
        pred = read_label(prediction, scheme, value_map=prediction_map or {}, like=ref.grid)
        yield case, pred.data, ref.data, ref.grid.spacing


def pair_folders(predictions: Path, references: Path) -> tuple[list[Pair], list[str], list[str]]:
    """Pair two folders of masks by case name.

    A reference's name may hold more than the prediction's, between separators (``case_seg``,
    ``sub-case_ct_label``), as long as only one prediction and one reference fit together.

    Returns:
        The pairs, and the names of predictions without reference and references without prediction.

    Raises:
        InputError: a folder is missing or holds no masks, or nothing fits together.
    """
    preds, refs = _masks(predictions), _masks(references)
    refs = _named_alike(preds, refs)
    pairs = [(name, preds[name], refs[name]) for name in sorted(preds.keys() & refs.keys())]
    if not pairs:
        raise InputError(
            "no prediction has the name of a reference",
            file=predictions,
            expected=f"names such as {', '.join(sorted(refs)[:3])}",
            found=", ".join(sorted(preds)[:3]),
            remedy="name the files alike; a reference's name may hold more than the prediction's",
        )
    return pairs, sorted(preds.keys() - refs.keys()), sorted(refs.keys() - preds.keys())


def show(report: Reporter, metrics: Mapping[str, Any]) -> None:
    """Print the tables of ``metrics.json``."""
    if metrics.get("task") == "detection":
        detection_tables.show(report, metrics)
        return
    header, *rows = table(metrics)
    report.table("", header, rows)
    if len(metrics.get("folds", {})) > 1:
        header, *rows = fold_table(metrics)
        report.table("", header, rows)
    if "postprocessed" in metrics:
        again = metrics["postprocessed"]
        header, *rows = table(again)
        report.table("postprocessed: " + "; ".join(_in_words(again["steps"])), header, rows)


def _in_words(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(MaskStep.from_dict(step)) for step in steps]


def _masks(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError("there is no such folder", file=folder, expected="a folder of masks")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        suffix = next((s for s in MASKS if path.name.lower().endswith(s)), None)
        if suffix is None or path.name.startswith("."):
            continue
        name = path.name[: -len(suffix)]
        if name in found:
            raise InputError(
                f"two files are named {name!r}",
                file=folder,
                found=f"{found[name].name}, {path.name}",
            )
        found[name] = path
    if not found:
        raise InputError(
            "the folder holds neither masks nor boxes",
            file=folder,
            expected=f"files {', '.join(MASKS)}, or CASE.json as medseg predict writes boxes",
        )
    return found


def _named_alike(preds: Mapping[str, Path], refs: Mapping[str, Path]) -> dict[str, Path]:
    """Give references the name of the only prediction whose name stands in theirs."""
    renamed, taken = {}, set(preds) & set(refs)
    candidates: dict[str, list[str]] = {}
    for ref in refs.keys() - taken:
        words = f"_{re.sub('[-. ]', '_', ref)}_"
        inside = [p for p in preds if p not in taken and f"_{re.sub('[-. ]', '_', p)}_" in words]
        longest = max(inside, key=len, default=None)
        if longest is not None:
            candidates.setdefault(longest, []).append(ref)
    new_name = {found[0]: pred for pred, found in candidates.items() if len(found) == 1}
    for ref, path in refs.items():
        renamed[new_name.get(ref, ref)] = path
    return renamed
