"""``medseg phantom``."""

from __future__ import annotations

from argparse import Namespace

from medseg.cli.output import print_json, reporter
from medseg.data import phantoms


def act(arguments: Namespace) -> None:
    """Write an artificial data set."""
    options = {} if arguments.cases is None else {"cases": arguments.cases}
    say = reporter(arguments)
    with say.progress("phantoms") as advance:
        phantoms.write(
            arguments.kind,
            arguments.output,
            seed=arguments.seed,
            overwrite=arguments.overwrite,
            progress=advance,
            **options,
        )
    say.say(f"wrote {arguments.output}")
    print_json(arguments, {"output": str(arguments.output)})
