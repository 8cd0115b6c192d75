"""``medseg inspect``."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from pathlib import Path

from medseg.cli.job import open_job
from medseg.cli.output import print_json, reporter
from medseg.labels import LabelScheme
from medseg.planning.fingerprint import Fingerprint
from medseg.stages import inspect, look


def act(arguments: Namespace) -> None:
    """Inspect a recipe's data set into its run folder, or look at a data folder."""
    say = reporter(arguments)
    path = Path(arguments.recipe)
    if path.is_dir() or path.suffix.lower() in (".csv", ".json", ".tsv"):
        recipe, dataset, found = look.at_folder(path, arguments.overrides, report=say)
    else:
        with open_job(arguments) as job:
            found = inspect.run(job)
        recipe, dataset = job.recipe, job.dataset
    say.table("", ("what", "found"), _rows(found))
    odd = inspect.oddities(recipe, dataset, found)
    print_json(arguments, {**found.to_dict(), "problems": odd})


def _rows(found: Fingerprint) -> list[tuple[str, str]]:
    shapes = list(zip(*(case.shape for case in found.cases), strict=True))
    spacings = list(zip(*(case.spacing for case in found.cases), strict=True))
    return [
        ("cases", str(len(found.cases))),
        ("channels", ", ".join(found.channels)),
        ("labels", ", ".join(f"{k} {v}" for k, v in found.labels["values"].items())),
        *([("ignored", str(found.labels["ignore"]))] if "ignore" in found.labels else []),
        ("regions", ", ".join(found.labels.get("regions") or {}) or "none"),
        *_objects(found),
        ("shape", " x ".join(_span(n) for n in shapes)),
        ("spacing (mm)", " x ".join(_span(s) for s in spacings)),
    ]


def _objects(found: Fingerprint) -> list[tuple[str, str]]:
    """Count the objects of each class, and give how large they are; nothing of a segmentation."""
    if all(case.objects is None for case in found.cases):
        return []
    names = LabelScheme.from_dict(found.labels).foreground
    classes = Counter(int(one[0]) for case in found.cases for one in case.objects or ())
    sizes = zip(*found.object_sizes, strict=True)
    empty = sum(not case.objects for case in found.cases)
    return [
        ("objects", ", ".join(f"{name} {classes[i]}" for i, name in enumerate(names))),
        ("object size (mm)", " x ".join(_span(mm) for mm in sizes)),
        ("cases without", str(empty)),
    ]


def _span(values: tuple[float, ...]) -> str:
    low, high = min(values), max(values)
    return f"{low:.4g}" if low == high else f"{low:.4g}-{high:.4g}"
