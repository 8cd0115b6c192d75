"""Reads the command line; the arguments of each verb stand in `medseg.cli.arguments`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from rich_argparse import RichHelpFormatter

from medseg import __version__
from medseg.cli.arguments import data, masks, recipes, trainings
from medseg.cli.arguments.common import THIS_MACHINE


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; ``act`` of the result is the function to call with it."""
    parser = build_parser()
    arguments, rest = parser.parse_known_args(argv)
    # Overrides may stand behind options: `medseg run r.yaml --overwrite trainer.budget=4m`.
    overrides = [a for a in rest if "=" in a and not a.startswith("-")]
    if "=" in (getattr(arguments, "ray", None) or ""):
        # `--ray` without an address, and an override behind it.
        overrides.append(arguments.ray)
        arguments.ray = THIS_MACHINE
    unknown = [a for a in rest if a not in overrides]
    if unknown or (overrides and not hasattr(arguments, "overrides")):
        parser.error(f"unknown arguments: {' '.join(unknown or overrides)}")
    if overrides:
        arguments.overrides = [*arguments.overrides, *overrides]
    for word in getattr(arguments, "overrides", ()):
        if "=" not in word:
            parser.error(f"an override is key=value, got {word!r}")
    return arguments


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of ``medseg``."""
    parser = argparse.ArgumentParser(
        prog="medseg",
        description="Train, predict and evaluate medical image segmentation from recipes.",
        epilog="First steps: medseg recipes; medseg run quickstart; medseg init DATA_FOLDER.",
        formatter_class=RichHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"medseg {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text, formatter_class=RichHelpFormatter)
        sub.set_defaults(act=_dispatch(name))
        sub.add_argument("-q", "--quiet", action="store_true", help="print errors only")
        sub.add_argument("--json", action="store_true", help="print the result as JSON")
        return sub

    for room in (trainings, masks, recipes, data):
        room.add(verb)
    return parser


def _dispatch(stage: str) -> Callable[[argparse.Namespace], int | None]:
    """Import the stage only when its verb is used: ``--help`` must not wait for torch."""

    def act(arguments: argparse.Namespace) -> int | None:
        try:
            module = import_module(f"medseg.cli.verbs.{stage}")
        except ModuleNotFoundError as error:
            if error.name and error.name.startswith("medseg"):
                raise
            print(
                f"error: the package {error.name!r} is missing\n  remedy: pip install {error.name}",
                file=sys.stderr,
            )
            return 2
        return module.act(arguments)

    return act
