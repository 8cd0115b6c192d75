"""``medseg compare``."""

from __future__ import annotations

from argparse import Namespace

from medseg.cli.output import print_json, reporter
from medseg.stages import compare


def act(arguments: Namespace) -> None:
    """Compare the scores of two runs."""
    found = compare.run(arguments.run_a, arguments.run_b, metric=arguments.metric)
    compare.show(reporter(arguments), found)
    print_json(arguments, found)
