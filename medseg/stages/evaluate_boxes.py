"""``evaluate`` of boxes outside a run: a folder of them and a data set -> ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from medseg import build
from medseg.data import formats
from medseg.data.case import Dataset
from medseg.errors import InputError
from medseg.inference.detection.found_file import is_boxes, read_boxes
from medseg.inference.detection.keep_file import read_for
from medseg.inference.detection.kept_scores import score_kept
from medseg.metrics.evaluate_detections import evaluate_detections
from medseg.recipe import load, load_text
from medseg.stages.count_hits import hit_of
from medseg.stages.found_cases import read_cases
from medseg.stages.names import some
from medseg.stages.reporter import Reporter
from medseg.stages.score_outlines import score_outlines

Hit = Literal["centre", "iou"]


class References(NamedTuple):
    """Where objects are, and when they count as found.

    Attributes:
        dataset: their cases.
        hit: as its recipe says.
    """

    dataset: Dataset
    hit: Hit = "centre"


def boxes_in(folder: Path) -> dict[str, Path]:
    """Find the files of boxes in a folder, by the case's id."""
    if not folder.is_dir():
        return {}
    return {path.stem: path for path in sorted(folder.iterdir()) if is_boxes(path)}


def references(path: Path) -> References:
    """Read a data set whose objects are known, without its voxels.

    Args:
        path: the data set's folder (or its file of annotations); a run of a detection; or a recipe,
            which says what an object is.

    Raises:
        InputError: it is none of these, or of a segmentation.
    """
    run = path if (path / "recipe.yaml").is_file() else None
    file = path / "recipe.yaml" if run else path
    if (path.is_dir() and not run) or path.suffix.lower() in (".csv", ".json", ".tsv"):
        return References(_of_folder(path))
    # Only what it says of the data is looked at: no class that it names is imported.
    known = file.is_file()
    recipe = load_text(_text(file), source=file) if known else load(str(path))
    if recipe.task != "detection":
        raise InputError(
            "this is a recipe for masks, and boxes are to be scored",
            file=recipe.source,
            expected="task: detection",
            found=f"task: {recipe.task}",
            remedy="name the data set's folder, or a recipe that says what an object is",
        )
    return References(
        build.build_dataset(recipe, run or Path(recipe.run_dir)), recipe.detection.hit
    )


def score(
    found: Mapping[str, Path],
    known: References,
    *,
    report: Reporter,
    hit: Hit | None = None,
    keep: Path | None = None,
) -> dict[str, Any]:
    """Score files of boxes against the objects of a data set.

    Args:
        found: case id -> file.
        known: the data set, and its rule.
        report: told how far it is.
        hit: another rule of a hit.
        keep: a ``detection.yaml``: the result has ``kept``, the scores of what it keeps, too.
            Outlines beside boxes have ``panoptic``, see `score_outlines`.

    Returns:
        what metrics.json holds; ``missing`` and ``extra`` name cases that have no boxes, and boxes
        whose case has no objects that are known. They count in no score.

    Raises:
        InputError: no file has the name of a case; one is damaged, or of another grid than the
            case's image; or ``keep`` is for other classes.
    """
    dataset = known.dataset
    ids = [case.id for case in dataset.cases]
    both = {case: found[case] for case in ids if case in found}
    folder = next(iter(found.values())).parent
    for path in (folder / f"{case}.json" for case in ids if case not in found):
        if path.is_file():  # named like boxes, and none: reading it says why
            read_boxes(path)
    if not both:
        raise InputError(
            "no file of boxes has the name of a case",
            file=folder,
            expected=f"CASE.json, such as {', '.join(f'{case}.json' for case in ids[:3])}",
            found=some([path.name for path in found.values()]),
            remedy="name the files as medseg predict does: after the cases of the data set",
        )
    classes, rule = dataset.labels.foreground, hit_of(hit or known.hit)
    kept = None if keep is None else read_for(keep, classes)
    with report.progress("evaluate") as advance:
        cases = read_cases(both, dataset, advance=advance)
    metrics = evaluate_detections(cases, classes, hit=rule)
    if kept is not None:
        rules = dict.fromkeys(cases, kept)
        scores = score_kept(cases, classes, rules, hit=rule)
        metrics["kept"] = {"rule": kept.to_dict(), "by": "file", **scores}
    if outlined := score_outlines(both, dataset):
        metrics["panoptic"] = outlined
    return {
        **metrics,
        "missing": [case for case in ids if case not in found],
        "extra": sorted(found.keys() - set(ids)),
    }


def _of_folder(path: Path) -> Dataset:
    try:
        return formats.read(path, objects={"empty": "negative"})
    except InputError as error:
        error.remedy = error.remedy or (
            "name the data set's folder, a run, or a recipe that says how the data are read and "
            "what an object is"
        )
        raise


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(
            "the recipe cannot be read as text", file=file, found=str(error)
        ) from error
