"""``medseg evaluate``."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medseg.atomic import write_text
from medseg.cli.output import print_json, reporter
from medseg.errors import InputError
from medseg.inference.postprocess import file
from medseg.stages import count_hits, evaluate, evaluate_boxes, label_source
from medseg.stages.reporter import Reporter
from medseg.tracking import draw_froc

_OF_MASKS = {"labels": "--labels", "empty": "--empty", "value_map": "--value-map"}


def act(arguments: Namespace) -> None:
    """Compare a folder of masks with another, or a folder of boxes with a data set."""
    say = reporter(arguments)
    _refuse_run(arguments.predictions)
    boxes = evaluate_boxes.boxes_in(arguments.predictions)
    curves = arguments.output.with_name(count_hits.PICTURE) if arguments.output and boxes else None
    for path in (arguments.output, curves):
        if path and path.exists() and not arguments.overwrite:
            raise InputError(
                "the file exists already", file=path, remedy="replace it with --overwrite"
            )
    metrics = _boxes(arguments, boxes, say) if boxes else _masks(arguments, say)
    for word, names in (
        ("reference without prediction", metrics["missing"]),
        ("prediction without reference", metrics["extra"]),
    ):
        if names:
            say.warn(f"{word}: {', '.join(names[:10])}" + (" …" if len(names) > 10 else ""))
    if arguments.output:
        write_text(arguments.output, json.dumps(metrics, indent=1))
    if curves:
        draw_froc(metrics, curves)
    evaluate.show(say, metrics)
    print_json(arguments, metrics)


def _refuse_run(path: Path) -> None:
    if (path / "recipe.yaml").is_file():
        raise InputError(
            "this is a run, not what it predicted",
            file=path,
            expected="a folder of masks or boxes",
            found="recipe.yaml, predictions/ and other files of a run",
            remedy=f"medseg evaluate {path / 'predictions'} …; its own scores are in metrics.json",
        )


def _masks(arguments: Namespace, say: Reporter) -> dict[str, Any]:
    if arguments.hit is not None:
        raise InputError(
            "--hit is for boxes, and these are masks",
            file=arguments.predictions,
            expected="a folder of files that medseg predict wrote for a detection",
        )
    pairs, extra, missing = evaluate.pair_folders(arguments.predictions, arguments.references)
    value_map = _value_map(arguments.value_map)
    scheme = label_source.find(arguments.labels, arguments.predictions, pairs, value_map)
    steps = file.read_for(arguments.postprocessing, scheme) if arguments.postprocessing else ()
    with say.progress("evaluate") as advance:
        metrics = evaluate.score(
            pairs,
            scheme,
            value_map,
            value_map,
            empty=arguments.empty or "skip",
            steps=steps,
            advance=advance,
        )
    return {**metrics, "missing": missing, "extra": extra}


def _boxes(arguments: Namespace, found: Mapping[str, Path], say: Reporter) -> dict[str, Any]:
    for name, option in _OF_MASKS.items():
        if getattr(arguments, name):
            raise InputError(
                f"{option} is for masks, and these are boxes",
                file=arguments.predictions,
                remedy=f"leave {option} out; what an object is, a recipe in place of REF says",
            )
    return evaluate_boxes.score(
        found,
        evaluate_boxes.references(arguments.references),
        report=say,
        hit=arguments.hit,
        keep=arguments.postprocessing,
    )


def _value_map(words: list[str]) -> dict[int, int]:
    """Read ``255=1`` pairs."""
    try:
        return {int(a): int(b) for a, b in (word.split("=") for word in words)}
    except ValueError as error:
        raise InputError(
            "--value-map is FILE=LABEL, two whole numbers",
            expected="--value-map 255=1",
            found=" ".join(words),
        ) from error
