"""``medseg init``."""

from __future__ import annotations

from argparse import Namespace

from medseg.cli.output import print_json, reporter
from medseg.stages import init


def act(arguments: Namespace) -> None:
    """Write a recipe for a data folder."""
    written = init.run(
        arguments.folder,
        arguments.output,
        arguments.overrides,
        report=reporter(arguments),
        overwrite=arguments.overwrite,
    )
    print_json(arguments, {"recipe": str(written)})
