"""``medseg evaluate``."""

from __future__ import annotations

import json
from argparse import Namespace

from medseg.atomic import write_text
from medseg.cli.output import print_json, reporter
from medseg.errors import InputError
from medseg.inference.postprocess import file
from medseg.stages import evaluate, label_source


def act(arguments: Namespace) -> None:
    """Compare two folders of masks."""
    say = reporter(arguments)
    if arguments.output and arguments.output.exists() and not arguments.overwrite:
        raise InputError(
            "the file exists already", file=arguments.output, remedy="replace it with --overwrite"
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
            empty=arguments.empty,
            steps=steps,
            advance=advance,
        )
    metrics |= {"missing": missing, "extra": extra}
    for word, names in (
        ("reference without prediction", missing),
        ("prediction without reference", extra),
    ):
        if names:
            say.warn(f"{word}: {', '.join(names[:10])}" + (" …" if len(names) > 10 else ""))
    if arguments.output:
        write_text(arguments.output, json.dumps(metrics, indent=1))
    evaluate.show(say, metrics)
    print_json(arguments, metrics)


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
