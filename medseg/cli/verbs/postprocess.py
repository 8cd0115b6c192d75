"""``medseg postprocess``."""

from __future__ import annotations

from argparse import Namespace

from medseg.cli.output import print_json, reporter
from medseg.cli.trusted import trusted
from medseg.stages import postprocess_choice


def act(arguments: Namespace) -> None:
    """Choose by held-out cases how masks are cleaned."""
    found = postprocess_choice.of_run(
        arguments.run,
        report=reporter(arguments),
        trust=trusted(arguments),
        overwrite=arguments.overwrite,
    )
    print_json(arguments, found)
