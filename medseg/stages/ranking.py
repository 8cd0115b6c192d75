"""Cross-validated runs and pairs of runs in order of a score, and the best of them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.atomic import write_text
from medseg.metrics.cells import cell
from medseg.metrics.compare import compare_metrics
from medseg.metrics.compare_detections import compare_detections
from medseg.stages.reporter import Reporter

Runs = tuple[Path, ...]


@dataclass(frozen=True)
class Measure:
    """By which runs are ranked.

    Attributes:
        key: of the score in ``mean`` of a metrics.json.
        title: how it is called.
        of_class: takes the scores of a class out of ``per_class``.
        compare: two metrics.json by this score.
        gain: what is said of their difference.
        output: what is predicted.
    """

    key: str
    title: str
    of_class: Callable[[Mapping[str, Any]], float | None]
    compare: Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]
    gain: Callable[[Mapping[str, Any]], str]
    output: str

    def of(self, metrics: Mapping[str, Any]) -> float:
        """Return the score of a metrics.json, 0 where it has none."""
        return metrics["mean"][self.key] or 0.0

    def ranked(self, scores: Mapping[Runs, Mapping[str, Any]]) -> list[Runs]:
        """Return candidates, best first; of equals that of fewer runs."""
        return sorted(scores, key=lambda runs: (-self.of(scores[runs]), len(runs)))


DICE = Measure(
    "dice",
    "Dice",
    lambda scores: scores["dice"]["mean"],
    compare_metrics,
    lambda gain: f"{gain['difference']:+.4f} a case, p {gain['p_wilcoxon']:.3g}",
    "MASKS",
)
MAP = Measure(
    "map",
    "mAP",
    lambda scores: scores["map"],
    compare_detections,
    lambda gain: f"{gain['difference']:+.4f}, p {gain['p']:.3g}",
    "BOXES",
)


def write(
    output: Path,
    measure: Measure,
    ranked: Sequence[Runs],
    scores: Mapping[Runs, Mapping[str, Any]],
    cleaned: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write what `choice` returns into ``choice.json`` of a folder, and return it."""
    found = choice(measure, ranked, scores, cleaned)
    write_text(output / "choice.json", json.dumps(found, indent=1))
    return found


def choice(
    measure: Measure,
    ranked: Sequence[Runs],
    scores: Mapping[Runs, Mapping[str, Any]],
    cleaned: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Say which candidate is best, and by how much.

    Args:
        measure: of the ranking.
        ranked: candidates, best first.
        scores: their metrics.json.
        cleaned: what postprocessing was chosen for the best, if it is a pair.
    """
    best = ranked[0]
    single = next(runs for runs in ranked if len(runs) == 1)
    gain = measure.compare(scores[single], scores[best])["overall"] if best != single else None
    options = "".join(f" --with {shlex.quote(str(path))}" for path in best[1:])
    if cleaned:
        options += f" --postprocessing {shlex.quote(cleaned['file'])}"
    return {
        "schema": 1,
        "candidates": [
            {
                "runs": [str(path) for path in runs],
                measure.key: measure.of(scores[runs]),
                "per_class": {
                    name: measure.of_class(entry)
                    for name, entry in scores[runs]["per_class"].items()
                },
            }
            for runs in ranked
        ],
        "best": [str(path) for path in best],
        "gain": gain,
        "postprocessing": cleaned,
        "command": f"medseg predict {shlex.quote(str(best[0]))} IMAGES{options} "
        f"-o {measure.output}",
    }


def show(report: Reporter, found: Mapping[str, Any]) -> None:
    """Print the ranking, and how to use the best; ``found`` is what `choice` returned."""
    measure = MAP if MAP.key in found["candidates"][0] else DICE
    classes = list(found["candidates"][0]["per_class"])
    rows = [
        [
            " + ".join(entry["runs"]),
            *map(cell, entry["per_class"].values()),
            f"{entry[measure.key]:.4f}",
        ]
        for entry in found["candidates"]
    ]
    report.table(f"cross-validated {measure.title}", ["runs", *classes, "mean"], rows)
    if found["gain"]:
        report.say(f"over the best single run: {measure.gain(found['gain'])}")
    aim = "find objects in" if measure is MAP else "segment"
    report.say(f"to {aim} new images: {found['command']}")
