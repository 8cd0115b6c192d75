"""``medseg evaluate``."""

from __future__ import annotations

import json
from argparse import Namespace

from medseg.cli.output import print_json, reporter
from medseg.errors import InputError
from medseg.stages import evaluate, label_source
from medseg.stages.run_folder import write_text


def act(arguments: Namespace) -> None:
    """Compare two folders of masks."""
    say = reporter(arguments)
    if arguments.output and arguments.output.exists() and not arguments.overwrite:
        raise InputError(
            "the file exists already", file=arguments.output, remedy="replace it with --overwrite"
        )
    pairs, extra, missing = evaluate.pair_folders(arguments.predictions, arguments.references)
    scheme = label_source.find(arguments.labels, arguments.predictions, pairs)
    with say.progress("evaluate") as advance:
        metrics = evaluate.score(pairs, scheme, empty=arguments.empty, advance=advance)
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
