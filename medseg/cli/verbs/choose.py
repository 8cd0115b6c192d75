"""``medseg choose``."""

from __future__ import annotations

from argparse import Namespace

from medseg.cli.output import print_json, reporter
from medseg.cli.trusted import trusted
from medseg.errors import InputError
from medseg.stages import choose


def act(arguments: Namespace) -> None:
    """Rank cross-validated runs and pairs of them."""
    output = arguments.output
    if output.exists() and any(output.iterdir()) and not arguments.overwrite:
        raise InputError(
            "the output folder is not empty",
            file=output,
            remedy="choose another folder with -o, or replace what it holds with --overwrite",
        )
    say = reporter(arguments)
    choice = choose.run(
        arguments.runs, output, report=say, device=arguments.device, trust=trusted(arguments)
    )
    choose.show(say, choice)
    print_json(arguments, choice)
